"""Requirements of every network: shapes, dtypes, JSON, training, and several devices.

Modules of gan_jax/networks with a Generator and a Discriminator are discovered here. Add small
fields for them to tests/helpers/small_networks.py.
"""

import importlib
import pkgutil

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax import networks
from gan_jax.config import Optimizer, Penalties, serialization
from gan_jax.config.validation import validate
from gan_jax.core import keys
from gan_jax.core.errors import UserError
from gan_jax.data.batch import Batch
from gan_jax.losses import adversarial, penalties
from gan_jax.networks import interface
from gan_jax.training.state import init_state
from gan_jax.training.step import make_train_step
from tests.helpers import small
from tests.helpers.small_networks import SMALL, SOUNDS, N, Z, config, pair

CLASSES = 3
LABELS = jnp.arange(N, dtype=jnp.int32) % CLASSES
KEY = jax.random.key(11)


def discover_networks():
    """Return the modules with a Generator and a Discriminator, except base classes."""
    names = {module.name for module in pkgutil.iter_modules(networks.__path__)} - {"interface"}
    modules = {name: importlib.import_module(f"gan_jax.networks.{name}") for name in names}
    return {
        name
        for name, module in modules.items()
        if hasattr(module, "Generator") and hasattr(module, "Discriminator")
    }


def batch(name, size, classes=0, leading=()):
    shape = (size,) if name in SOUNDS else (size, size)
    real = jax.random.uniform(KEY, (*leading, N, *shape, 2), minval=-1)
    return Batch(real, jnp.broadcast_to(LABELS, (*leading, N)) if classes else None)


def random_state(config, size, classes=0):
    """Return a training state with random variables, at a scale that ReLUs keep.

    Some networks initialize layers to zero, which blocks gradients to the layers before them.
    StyleGAN2 scales its kernels where it uses them.
    """
    random = np.random.default_rng(11)
    shapes = jax.eval_shape(
        lambda: init_state(config, keys.root_key(0), batch(config.name, size, classes))
    )

    def sample(leaf):
        fan_in = 2 if config.name == "stylegan2" else np.prod(leaf.shape[:-1])
        deviation = np.sqrt(2 / fan_in) if leaf.ndim > 1 else 0.3
        return jnp.asarray(deviation * random.normal(size=leaf.shape), leaf.dtype)

    zero = jnp.zeros((), jnp.int32)
    gen, disc = (
        player.replace(
            params=jax.tree.map(sample, player.params), stats=jax.tree.map(sample, player.stats)
        )
        for player in (shapes.gen, shapes.disc)
    )
    return shapes.replace(
        step=zero, key=keys.root_key(0), gen=gen, disc=disc, skipped=zero, skipped_in_row=zero
    )


ALL_SIZES = [(name, size) for name in SMALL for size in SMALL[name][3]]
FIRST_SIZES = [(name, next(iter(SMALL[name][3]))) for name in SMALL]
KINDS = [(*case, classes) for case in FIRST_SIZES for classes in (0, CLASSES)]


def test_every_network_is_tested():
    assert discover_networks() == {*SMALL}, "small_networks.py must have fields for every network"


@pytest.mark.parametrize(
    ("name", "size", "dtype"),
    [(*case, "float32") for case in ALL_SIZES]
    + [(*case, "bfloat16") for case in [*FIRST_SIZES, ("sngan", 48)]],  # 48 has self-attention
)
def test_shapes_and_dtypes(name, size, dtype):
    """Images, logits and variables are float32; the computation has the network's dtype."""
    for classes, cond in ((0, None), (CLASSES, LABELS)):
        gen, disc = pair(name, size, classes, dtype=dtype)
        real = batch(name, size).real
        for network, x, shape in ((gen, jnp.zeros((N, Z)), real.shape), (disc, real, (N,))):

            def run(network=network, x=x, cond=cond):
                variables = network.init(KEY, x, cond, train=True)
                options = {"mutable": ["batch_stats", "intermediates"]}
                return variables, network.apply(
                    variables, x, cond, train=True, capture_intermediates=True, **options
                )

            variables, (output, changed) = jax.eval_shape(run)
            assert (output.shape, output.dtype) == (shape, jnp.float32)
            stored = (variables, changed.get("batch_stats", ()))
            assert {leaf.dtype.name for leaf in jax.tree.leaves(stored)} == {"float32"}
            inner = jax.tree.leaves(changed["intermediates"])
            assert dtype in {leaf.dtype.name for leaf in inner}


@pytest.mark.parametrize("name", SMALL)
def test_networks_inherit_the_interface_and_no_fields(name):
    """Positional arguments and config files follow the order of a class's own fields."""
    module = importlib.import_module(f"gan_jax.networks.{name}")
    for cls, base in (
        (module.Generator, interface.Generator),
        (module.Discriminator, interface.Discriminator),
    ):
        assert issubclass(cls, base)
        fields = [name for name in cls.__dataclass_fields__ if name not in ("parent", "name")]
        assert fields == [name for name in cls.__annotations__ if name not in ("parent", "name")]


def test_default_capabilities_of_the_interface():
    class Gen(interface.Generator):
        classes: int = 3

    class Disc(interface.Discriminator):
        pac_size: int = 2
        auxiliary: bool = True

    gen, disc = Gen(), Disc(pac_size=4)
    assert (gen.classes, gen.latent, gen.w_shape, gen.has_likelihood) == (3, None, None, False)
    assert (disc.classes, disc.pac_size, disc.auxiliary) == (0, 4, True)
    assert (disc.needs_rng, disc.returns_features) == (False, False)


@pytest.mark.parametrize("field", ["gen", "disc"])
def test_a_network_without_the_interface_is_rejected(field):
    network = small.CONFIG.replace(**{field: nn.Dense(3)})
    base = {"gen": "Generator", "disc": "Discriminator"}[field]
    expected = f"{field} must be a subclass of gan_jax.networks.interface.{base}, got Dense"
    with pytest.raises(UserError) as error:
        validate(network)
    assert str(error.value) == expected


@pytest.mark.parametrize(("name", "size", "classes"), KINDS)
def test_json_round_trip(name, size, classes):
    original = config(name, size, classes)
    assert serialization.loads(serialization.dumps(original)) == original


@pytest.mark.parametrize(("name", "size"), FIRST_SIZES)
def test_three_steps_train_every_parameter(name, size):
    """Train with labels; the matrix below trains without them."""
    cfg = config(name, size, CLASSES)
    state = before = random_state(cfg, size, CLASSES)
    step = jax.jit(make_train_step(cfg))
    for _ in range(3):
        state, metrics = step(state, batch(name, size, CLASSES, leading=(1,)))
        for metric, value in metrics.items():
            assert np.isfinite(value), metric
        assert metrics["skipped"] == 0
    assert state.step == 3
    for player in (lambda state: state.gen, lambda state: state.disc):
        changes = jax.tree.map(jnp.subtract, player(state).params, player(before).params)
        changes = {path: np.abs(leaf).max() for path, leaf in small.leaves(changes).items()}
        for path, largest in changes.items():
            # More than the rounding errors of a bias before a batch norm.
            assert largest > 5e-5 * max(changes.values()), path


@pytest.mark.parametrize(
    ("name", "size"), [case for case in FIRST_SIZES if case[0] not in ("mlp", *SOUNDS)]
)
def test_a_wrong_size_is_rejected(name, size):
    """Both networks name the size in the error, and reject images of another size."""
    for network in pair(name, size):
        wrong = network.clone(size=size + 1)
        x = jnp.zeros((N, Z) if "channels" in network.__dataclass_fields__ else (N, size, size, 2))
        with pytest.raises(ValueError, match=rf"{name}: size .* got {size + 1}"):
            jax.eval_shape(lambda wrong=wrong, x=x: wrong.init(KEY, x, train=True))
    disc = pair(name, size)[1]
    with pytest.raises(ValueError, match=f"got {size + 2}x{size + 2}"):
        jax.eval_shape(lambda: disc.init(KEY, jnp.zeros((N, size + 2, size + 2, 2)), train=True))


@pytest.mark.parametrize(("name", "size"), FIRST_SIZES)
def test_labels_must_fit_the_classes(name, size):
    for classes, cond in ((0, LABELS), (CLASSES, None)):
        for network, x in zip(
            pair(name, size, classes), (jnp.zeros((N, Z)), batch(name, size).real), strict=True
        ):
            with pytest.raises(ValueError, match=f"cond .* a network of {classes} classes"):
                jax.eval_shape(lambda n=network, x=x, cond=cond: n.init(KEY, x, cond, train=True))


@pytest.mark.parametrize(("name", "size"), [("sngan", 32)])
def test_a_step_on_two_devices_equals_that_on_one(name, size):
    """Split a batch with labels, conditional batch norm and spectral norm."""
    cfg = config(name, size, CLASSES)
    state, full = random_state(cfg, size, CLASSES), batch(name, size, CLASSES, leading=(1,))
    single, metrics = jax.jit(make_train_step(cfg))(state, full)
    halves = jax.tree.map(lambda leaf: leaf.reshape(1, 2, N // 2, *leaf.shape[2:]), full)
    step = jax.pmap(
        make_train_step(cfg, "devices"),
        axis_name="devices",
        in_axes=(None, 1),
        out_axes=(None, None),
        devices=jax.local_devices()[:2],
    )
    sharded, sharded_metrics = step(state, halves)
    # Sums over the batch in another order: SGD keeps errors of some 1e-6 of the gradients.
    small.assert_trees_close(sharded, single, rtol=1e-5, atol=1e-6)
    # Some metrics are means of logits up to 10, of either sign.
    small.assert_trees_close(sharded_metrics, metrics, rtol=1e-5, atol=1e-5)


# Every loss and every penalty with some network, and every network with one of either. A loss
# depends only on logits, and a penalty only on a discriminator, so an error shows with any partner.
# All penalties in one step are in tests/training/test_contracts.py.
PARTNERS = FIRST_SIZES, [*adversarial.LOSSES], [*penalties.PENALTIES]
MATRIX = [
    (*(values[i % len(values)] for values in PARTNERS),) for i in range(max(map(len, PARTNERS)))
]


@pytest.mark.nightly
@pytest.mark.parametrize(("network", "loss", "penalty"), MATRIX)
def test_a_loss_and_a_penalty_on_one_and_two_devices(network, loss, penalty):
    name, size = network
    sgd = Optimizer("sgd", lr=1e-3, b1=0.0)
    weights = Penalties(**{penalty: 0.1})
    cfg = config(name, size).replace(
        loss=loss, penalties=weights, gen_opt=sgd, disc_opt=sgd, steps=2
    )
    state, full = random_state(cfg, size), batch(name, size, leading=(1,))
    traces, train_step = [], make_train_step(cfg)
    step = jax.jit(lambda state, batch: traces.append(1) or train_step(state, batch))
    first, metrics = step(state, full)
    second, second_metrics = step(first, full)
    assert (len(traces), int(second.step), int(second.skipped)) == (1, 2, 0)
    for metric, value in [*metrics.items(), *second_metrics.items()]:
        assert np.isfinite(value), metric
    halves = jax.tree.map(lambda leaf: leaf.reshape(1, 2, N // 2, *leaf.shape[2:]), full)
    sharded_step = jax.pmap(
        make_train_step(cfg, "devices"),
        axis_name="devices",
        in_axes=(None, 1),
        out_axes=(None, None),
        devices=jax.local_devices()[:2],
    )
    _, sharded_metrics = sharded_step(state, halves)
    # Sums of values up to some thousands, in another order.
    small.assert_trees_close(sharded_metrics, metrics, rtol=1e-4, atol=1e-4)
