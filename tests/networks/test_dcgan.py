"""DCGAN against its paper: initialization, spectral norm and labels."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.networks import dcgan


def test_initialization():
    """Weights N(0, 0.02), batch norm scales N(1, 0.02), biases 0 (1511.06434, sec. 4)."""
    variables = dcgan.Discriminator(32, width=32).init(
        jax.random.key(0), jnp.zeros((2, 32, 32, 3)), train=True
    )
    params = variables["params"]
    for name in ("Conv_1", "Conv_2"):
        kernel = params[name]["kernel"]
        # Four standard errors of at least 32,768 samples.
        assert abs(float(kernel.std()) / 0.02 - 1) < 4 / np.sqrt(2 * kernel.size)
    scales = jnp.concatenate([params[f"BatchNorm_{i}"]["scale"] for i in (0, 1)])
    assert abs(float(scales.mean()) - 1) < 4 * 0.02 / np.sqrt(scales.size)
    assert 0.01 < scales.std() < 0.03
    assert not params["Conv_0"]["bias"].any()


def test_spectral_norm_of_every_layer():
    """sigma converges to the largest singular value of [the rest, c_out] (1802.05957)."""
    network = dcgan.Discriminator(28, width=4, norm="spectral")
    x = jax.random.normal(jax.random.key(1), (2, 28, 28, 1))
    variables = network.init(jax.random.key(0), x, train=True)

    @jax.jit
    def iterate(variables):
        return {**variables, **network.apply(variables, x, train=True, mutable="batch_stats")[1]}

    for _ in range(300):
        variables = iterate(variables)
    layers = ("Conv_0", "Conv_1", "Dense_0")
    for i, name in enumerate(layers):
        weight = variables["params"][name]["kernel"]
        largest = np.linalg.svd(weight.reshape(-1, weight.shape[-1]), compute_uv=False)[0]
        sigma = variables["batch_stats"][f"SpectralNorm_{i}"][f"{name}/kernel/sigma"]
        np.testing.assert_allclose(sigma, largest, rtol=1e-3)  # error of the iteration


def test_classes_are_planes_of_ones():
    """A label reaches every pixel of the discriminator's first stage."""
    network = dcgan.Discriminator(28, width=4, classes=3, norm="none")
    x = jnp.zeros((3, 28, 28, 1))
    variables = network.init(jax.random.key(0), x, jnp.arange(3), train=True)
    assert variables["params"]["Conv_0"]["kernel"].shape == (4, 4, 1 + 3, 4)
    logits = network.apply(variables, x, jnp.arange(3), train=False)
    assert len(np.unique(logits)) == 3


@pytest.mark.parametrize("network", [dcgan.Generator(size=30), dcgan.Discriminator(size=30)])
def test_other_sizes_are_rejected(network):
    inputs = jnp.zeros((1, 4) if isinstance(network, dcgan.Generator) else (1, 30, 30, 3))
    with pytest.raises(ValueError, match=r"size .* \[28, 32, 64\], got 30"):
        network.init(jax.random.key(0), inputs, train=True)


def test_images_of_another_size_are_rejected():
    with pytest.raises(ValueError, match=r"32x32, got 28x28"):
        dcgan.Discriminator(32).init(jax.random.key(0), jnp.zeros((1, 28, 28, 3)), train=True)
