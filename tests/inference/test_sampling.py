"""Sampling: sample i depends on the key and i only, labels are respected, evaluation mode."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.core import keys
from gan_jax.inference import sampling
from gan_jax.networks import interface, mlp
from tests.helpers import small

KEY = keys.root_key(5)
TRACES = []  # batch size of each trace of Echo


class Echo(interface.Generator):
    """Returns its inputs z and label, so that tests can inspect them."""

    classes: int = 0
    dtype: str = "float32"

    @nn.compact
    def __call__(self, z, cond=None, *, train):
        TRACES.append(len(z))
        assert not train
        label = jnp.full(len(z), -1) if cond is None else cond
        return jnp.concatenate([z, label[:, None]], -1, dtype=self.dtype)


def echo(n, cond=None, key=KEY, latent="normal", **fields):
    config = small.config(gen=Echo(**fields), z_dim=3, latent=latent)
    return sampling.sample(config, {}, key, n, cond)


def init(gen):
    """Initializes generator variables, with batch statistics that differ from any batch."""
    z, cond = jnp.zeros((2, 3)), jnp.zeros(2, jnp.int32) if gen.classes else None
    variables = gen.init(jax.random.key(0), z, cond, train=False)
    stats = jax.tree.map(lambda leaf: 3 * leaf + 0.5, variables.get("batch_stats", {}))
    return {**variables, "batch_stats": stats}


@pytest.mark.parametrize("n", [1, 5, 128, 129])
@pytest.mark.parametrize("classes", [0, 4])
def test_few_samples_are_the_first_of_many(n, classes):
    gen = mlp.Generator((2, 2, 1), (8,), classes, activation="tanh", norm="batch")
    config, variables = small.config(gen=gen, z_dim=3), init(gen)
    samples = sampling.sample(config, variables, KEY, 300)
    first_samples = sampling.sample(config, variables, KEY, n)
    assert samples.shape == (300, 2, 2, 1)
    # Bit-identical: one program with one batch size generates both.
    np.testing.assert_array_equal(first_samples, samples[:n], strict=True)
    assert len(np.unique(samples.reshape(300, -1), axis=0)) == 300


@pytest.mark.parametrize(
    ("latent", "random_function"), [("normal", "normal"), ("uniform", "uniform")]
)
def test_sample_i_has_the_noise_of_key_and_i(latent, random_function):
    z = echo(300, latent=latent)[:, :3]
    bounds = {"minval": -1.0} if random_function == "uniform" else {}
    for i in (0, 1, 127, 128, 299):
        noise = getattr(jax.random, random_function)(jax.random.fold_in(KEY, i), (3,), **bounds)
        # The same float32 formula compiled separately: the last bit of erf_inv may differ.
        np.testing.assert_allclose(z[i], noise, rtol=1e-6, atol=1e-7)
    assert (echo(300, key=keys.root_key(6), latent=latent)[:, :3] != z).any(1).all()


def test_uniform_noise_fills_its_interval_and_normal_noise_leaves_it():
    z = echo(1000, latent="uniform")[:, :3]
    assert -1 <= z.min() < -0.95  # 3000 values all miss the outer fortieth once in e^76
    assert 0.95 < z.max() < 1
    assert np.abs(echo(1000)[:, :3]).max() > 2  # 95 % of normal values are within 2


def test_labels_cycle_across_batches():
    labels = echo(300, classes=7)[:, 3]
    assert labels.tolist() == [i % 7 for i in range(300)]
    assert sampling.cycled_labels(small.config(gen=Echo(classes=7)), 300).dtype == np.int32
    assert sampling.cycled_labels(small.config(gen=Echo()), 300) is None
    later = sampling.cycled_labels(small.config(gen=Echo(classes=7)), 3, first=6)
    assert later.tolist() == [6, 0, 1]
    assert (echo(3)[:, 3] == -1).all()  # Echo returns -1 for no label


@pytest.mark.parametrize("n", [3, 128, 200])
def test_requested_labels_are_respected(n):
    cond = np.random.default_rng(0).integers(0, 7, n, dtype=np.int32)
    samples = echo(n, cond, classes=7)
    assert samples[:, 3].tolist() == cond.tolist()
    # The noise is bit-identical for other labels, because the program is the same.
    np.testing.assert_array_equal(samples[:, :3], echo(n, classes=7)[:, :3])
    assert echo(n, cond.tolist(), classes=7)[:, 3].tolist() == cond.tolist()


def test_one_program_generates_any_number_of_samples():
    TRACES.clear()
    config = small.config(gen=Echo(classes=3), z_dim=5)  # a config that no other test compiles
    for n in (1, 127, 129, 300):
        sampling.sample(config, {}, KEY, n)
    assert TRACES == [128]


def test_batch_norm_uses_and_preserves_its_running_statistics():
    gen = mlp.Generator((2,), (4,), activation="tanh", out="linear", norm="batch")
    config, variables = small.config(gen=gen, z_dim=3), init(gen)
    before = jax.tree.map(np.array, variables)
    samples = sampling.sample(config, variables, KEY, 20)
    params, stats = before["params"], before["batch_stats"]["BatchNorm_0"]
    expected = echo(20)[:, :3] @ params["Dense_0"]["kernel"]
    expected = (expected - stats["mean"]) / np.sqrt(stats["var"] + 1e-5)  # Flax's epsilon
    expected = np.tanh(expected * params["BatchNorm_0"]["scale"] + params["BatchNorm_0"]["bias"])
    assert expected.std(0).min() > 0.1
    expected = expected @ params["Dense_1"]["kernel"] + params["Dense_1"]["bias"]
    # Float32 in another summation order. Batch statistics would be off by 1.
    np.testing.assert_allclose(samples, expected, rtol=1e-5, atol=1e-6)
    small.assert_same_bits(before, variables)


@pytest.mark.parametrize("gen", [Echo(), mlp.Generator((2,), (4,))])
def test_output_is_float32_on_the_host(gen):
    config = small.config(gen=gen.clone(dtype="bfloat16"), z_dim=3)
    variables = {} if isinstance(gen, Echo) else init(gen)
    samples = sampling.sample(config, variables, KEY, 4)
    assert isinstance(samples, np.ndarray)
    assert samples.dtype == np.float32
    assert np.isfinite(samples).all()
