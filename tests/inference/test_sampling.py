"""Samples: the i-th depends on the key and on i alone, its label is the one asked for, and the
generator is in evaluation mode."""

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
TRACES = []  # an entry each time that JAX traces Echo


class Echo(interface.Generator):
    """Gives back what it gets, z and its label, so that a sample shows what it was made of."""

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
    """A generator's variables, its statistics unlike those of any batch."""
    z, cond = jnp.zeros((2, 3)), jnp.zeros(2, jnp.int32) if gen.classes else None
    variables = gen.init(jax.random.key(0), z, cond, train=False)
    stats = jax.tree.map(lambda leaf: 3 * leaf + 0.5, variables.get("batch_stats", {}))
    return {**variables, "batch_stats": stats}


@pytest.mark.parametrize("n", [1, 5, 128, 129])
@pytest.mark.parametrize("classes", [0, 4])
def test_few_samples_are_the_first_of_many(n, classes):
    gen = mlp.Generator((2, 2, 1), (8,), classes, activation="tanh", norm="batch")
    config, variables = small.config(gen=gen, z_dim=3), init(gen)
    many = sampling.sample(config, variables, KEY, 300)
    few = sampling.sample(config, variables, KEY, n)
    assert many.shape == (300, 2, 2, 1)
    # Bit by bit: one program, of one batch size, makes both.
    np.testing.assert_array_equal(few, many[:n], strict=True)
    assert len(np.unique(many.reshape(300, -1), axis=0)) == 300


@pytest.mark.parametrize(("latent", "draw"), [("normal", "normal"), ("uniform", "uniform")])
def test_sample_i_has_the_noise_of_key_and_i(latent, draw):
    z = echo(300, latent=latent)[:, :3]
    bounds = {"minval": -1.0} if draw == "uniform" else {}
    for i in (0, 1, 127, 128, 299):
        noise = getattr(jax.random, draw)(jax.random.fold_in(KEY, i), (3,), **bounds)
        # The same float32 formula, compiled apart: the last bit of erf_inv may differ.
        np.testing.assert_allclose(z[i], noise, rtol=1e-6, atol=1e-7)
    assert (echo(300, key=keys.root_key(6), latent=latent)[:, :3] != z).any(1).all()


def test_uniform_noise_fills_its_interval_and_normal_noise_leaves_it():
    z = echo(1000, latent="uniform")[:, :3]
    assert -1 <= z.min() < -0.95  # 3000 draws all miss the outer fortieth once in e^76
    assert 0.95 < z.max() < 1
    assert np.abs(echo(1000)[:, :3]).max() > 2  # a normal one is within 2 in 95 % of 3000 draws


def test_labels_cycle_across_batches():
    labels = echo(300, classes=7)[:, 3]
    assert labels.tolist() == [i % 7 for i in range(300)]
    assert sampling.cycled_labels(small.config(gen=Echo(classes=7)), 300).dtype == np.int32
    assert sampling.cycled_labels(small.config(gen=Echo()), 300) is None
    later = sampling.cycled_labels(small.config(gen=Echo(classes=7)), 3, first=6)
    assert later.tolist() == [6, 0, 1]
    assert (echo(3)[:, 3] == -1).all()  # Echo's word for no labels


@pytest.mark.parametrize("n", [3, 128, 200])
def test_given_labels_are_respected(n):
    cond = np.random.default_rng(0).integers(0, 7, n, dtype=np.int32)
    made = echo(n, cond, classes=7)
    assert made[:, 3].tolist() == cond.tolist()
    # The noise is that of other labels, bit by bit: the program is the same.
    np.testing.assert_array_equal(made[:, :3], echo(n, classes=7)[:, :3])
    assert echo(n, cond.tolist(), classes=7)[:, 3].tolist() == cond.tolist()


def test_any_number_is_made_by_one_program():
    TRACES.clear()
    config = small.config(gen=Echo(classes=3), z_dim=5)  # a config of this test only
    for n in (1, 127, 129, 300):
        sampling.sample(config, {}, KEY, n)
    assert TRACES == [128]


def test_batch_norm_uses_its_statistics_and_leaves_them():
    gen = mlp.Generator((2,), (4,), activation="tanh", out="linear", norm="batch")
    config, variables = small.config(gen=gen, z_dim=3), init(gen)
    before = jax.tree.map(np.array, variables)
    made = sampling.sample(config, variables, KEY, 20)
    params, stats = before["params"], before["batch_stats"]["BatchNorm_0"]
    y = echo(20)[:, :3] @ params["Dense_0"]["kernel"]
    y = (y - stats["mean"]) / np.sqrt(stats["var"] + 1e-5)  # Flax's epsilon
    y = np.tanh(y * params["BatchNorm_0"]["scale"] + params["BatchNorm_0"]["bias"])
    assert y.std(0).min() > 0.1
    y = y @ params["Dense_1"]["kernel"] + params["Dense_1"]["bias"]
    # Float32 sums of a few terms of size 1, in another order. Batch statistics would be 1 off.
    np.testing.assert_allclose(made, y, rtol=1e-5, atol=1e-6)
    small.assert_same_bits(before, variables)


@pytest.mark.parametrize("gen", [Echo(), mlp.Generator((2,), (4,))])
def test_output_is_float32_on_the_host(gen):
    config = small.config(gen=gen.clone(dtype="bfloat16"), z_dim=3)
    variables = {} if isinstance(gen, Echo) else init(gen)
    made = sampling.sample(config, variables, KEY, 4)
    assert isinstance(made, np.ndarray)
    assert made.dtype == np.float32
    assert np.isfinite(made).all()
