"""Self-attention against SAGAN's equations, per pixel, and its place in SNGAN's networks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.networks import sngan
from gan_jax.networks.attention import SelfAttention

KEY = jax.random.key(0)


def reference(x, kernels, gamma):
    """Attend in one example, with loops over pixels and the 2x2 windows of keys."""
    f, g, h, v = (np.float64(kernels[name]) for name in "fghv")
    height, width = x.shape[:2]
    positions = [(i, j) for i in range(0, height, 2) for j in range(0, width, 2)]
    windows = [x[i : i + 2, j : j + 2].reshape(4, -1) for i, j in positions]
    y = np.empty_like(x)
    for i in range(height):
        for j in range(width):
            scores = [(window @ f).max(0) @ (x[i, j] @ g) for window in windows]
            weights = np.exp(np.asarray(scores) - np.max(scores))
            weights /= weights.sum()
            attended = weights @ [(window @ h).max(0) for window in windows]
            y[i, j] = x[i, j] + gamma * (attended @ v)
    return y


def random_variables(module, *inputs):
    """Sample all variables with a size of about 0.5, including those that start at 0."""
    random = np.random.default_rng(1)
    shapes = jax.eval_shape(lambda: module.init(KEY, *inputs, train=True))
    return jax.tree.map(lambda leaf: jnp.float32(0.5 * random.normal(size=leaf.shape)), shapes)


def variables_of(module, x):
    """Return variables with gamma 0.7, and kernels [c, d], divided by sigma if spectral."""
    variables = random_variables(module, x)
    params = {**variables["params"], "gamma": jnp.float32(0.7)}
    kernels = {name: params[name]["kernel"][0, 0] for name in "fghv"}
    for norm, name in enumerate("fghv" if module.spectral else ""):
        # The layers run in the order f, g, h, v; the power iteration starts from u.
        u = variables["batch_stats"][f"SpectralNorm_{norm}"][f"{name}/kernel/u"]
        v = kernels[name] @ u[0]
        kernels[name] /= jnp.linalg.norm(v / jnp.linalg.norm(v) @ kernels[name])
    return {**variables, "params": params}, kernels


@pytest.mark.parametrize("spectral", [False, True])
def test_attention_equals_the_papers_equations(spectral):
    x = jax.random.normal(KEY, (2, 4, 6, 16))
    module = SelfAttention(spectral)
    variables, kernels = variables_of(module, x)
    assert {name: kernel.shape for name, kernel in kernels.items()} == {
        "f": (16, 2),
        "g": (16, 2),
        "h": (16, 8),
        "v": (8, 16),
    }
    y = jax.jit(lambda: module.apply(variables, x, train=True, mutable="batch_stats")[0])()
    expected = [reference(np.float64(example), kernels, 0.7) for example in x]
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-5)  # float32 sums of 16 products


def test_gradients_reach_every_kernel():
    x = jax.random.normal(KEY, (2, 4, 6, 16))
    module = SelfAttention()
    variables, _ = variables_of(module, x)
    grads = jax.jit(
        jax.grad(lambda params: jnp.square(module.apply({"params": params}, x, train=True)).sum())
    )(variables["params"])
    for path, leaf in jax.tree.leaves_with_path(grads):
        # The largest are 10,000 (gamma) and 200 to 1,000, with rounding errors below 0.01.
        assert np.abs(leaf).max() > 1, jax.tree_util.keystr(path)


def test_attention_starts_as_the_identity():
    x = jax.random.normal(KEY, (2, 4, 4, 16))
    module = SelfAttention()
    y = jax.jit(lambda: module.init_with_output(KEY, x, train=True)[0])()
    np.testing.assert_array_equal(y, x)


def test_bfloat16_attention_computes_the_softmax_in_float32():
    """Use scores of some hundreds, whose differences bfloat16 cannot represent."""
    x = 30 * jax.random.normal(KEY, (1, 4, 4, 8))
    variables, kernels = variables_of(SelfAttention(), x)
    module = SelfAttention(dtype="bfloat16")
    y = jax.jit(lambda: module.apply(variables, x, train=True))()
    assert y.dtype == jnp.bfloat16
    rounded = {name: kernel.astype(jnp.bfloat16) for name, kernel in kernels.items()}
    expected = reference(np.float64(x[0].astype(jnp.bfloat16)), rounded, 0.7)
    # About six roundings to 8 bits of numbers up to 100.
    np.testing.assert_allclose(np.float64(y[0]), expected, rtol=0.03, atol=1.5)


def test_odd_sides_are_rejected():
    with pytest.raises(ValueError, match=r"even .* got 3x4"):
        SelfAttention().init(KEY, jnp.zeros((1, 3, 4, 8)), train=True)


def attention_shapes(network, x):
    """Return the shapes of the inputs of self-attention."""
    options = {
        "capture_intermediates": lambda module, _: isinstance(module, SelfAttention),
        "mutable": True,
    }

    def run():
        variables = network.init(KEY, x, train=True)
        return network.apply(variables, x, train=True, **options)[1].get("intermediates", {})

    return [leaf.shape[1:] for leaf in jax.tree.leaves(jax.eval_shape(run))]


@pytest.mark.parametrize(
    ("size", "side", "gen_channels", "disc_channels"),
    [
        (32, 8, 4, 4),
        (48, 24, 4 * 2, 4),
        (128, 32, 4 * 4, 4 * 2),  # SAGAN's
        (64, 0, None, None),
    ],
)
def test_attention_is_at_the_given_resolution(size, side, gen_channels, disc_channels):
    fields = {"size": size, "width": 4, "attention": side}
    shapes = attention_shapes(sngan.Generator(**fields), jnp.zeros((2, 8)))
    assert shapes == ([(side, side, gen_channels)] if side else [])
    shapes = attention_shapes(sngan.Discriminator(**fields), jnp.zeros((2, size, size, 3)))
    assert shapes == ([(side, side, disc_channels)] if side else [])


@pytest.mark.parametrize(
    ("network", "shape", "allowed"),
    [
        (sngan.Generator, (1, 8), r"\[0, 12, 24, 48\]"),
        (sngan.Discriminator, (1, 48, 48, 3), r"\[0, 24, 12, 6\]"),  # 3 is odd
    ],
)
def test_other_sides_are_rejected(network, shape, allowed):
    with pytest.raises(ValueError, match=rf"attention .* {allowed}, got 3"):
        network(size=48, attention=3).init(KEY, jnp.zeros(shape), train=True)


def test_every_layer_of_a_spectral_generator_is_normalized():
    """Tripling all kernels except conditional batch norm's does not change the images."""
    network = sngan.Generator(width=4, classes=3, attention=16, spectral=True)
    z, cond = jax.random.normal(KEY, (3, 8)), jnp.arange(3)
    variables = random_variables(network, z, cond)

    def triple(path, leaf):
        names = [part.key for part in path]
        normalized = names[-1] == "kernel" and names[-2] not in ("scale", "offset")
        return 3 * leaf if normalized else leaf

    @jax.jit
    def images(params):
        state = {**variables, "params": params}
        return network.apply(state, z, cond, train=True, mutable="batch_stats")[0]

    tripled = jax.tree.map_with_path(triple, variables["params"])
    expected = images(variables["params"])
    assert 0.1 < expected.std() < 0.9  # neither flat nor saturated
    # Float32 sums, which batch norms divide by their standard deviations.
    np.testing.assert_allclose(images(tripled), expected, rtol=1e-4, atol=1e-4)
