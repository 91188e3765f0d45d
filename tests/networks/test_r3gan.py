"""R3GAN against its paper: resampling and initialization."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from gan_jax.networks import r3gan

SMALL = {"widths": (16, 16, 8), "cardinality": (4, 4, 2), "blocks": (1, 2, 1), "size": 16}


def test_resampling_is_a_convolution_with_the_filter():
    """Convolve with stride 2, or transposed, with a filter of sum 1.

    The filter is the outer product of [1, 2, 1] * [1, 1] = [1, 3, 3, 1].
    """
    x = jax.random.normal(jax.random.key(0), (2, 6, 8, 3))
    taps = np.array([1, 3, 3, 1]) / 8
    kernel = jnp.asarray(np.outer(taps, taps), jnp.float32)[:, :, None, None]

    def each_channel(x, **options):
        images = x.transpose(0, 3, 1, 2).reshape(-1, *x.shape[1:3], 1)
        y = lax.conv_general_dilated(
            images, kernel, dimension_numbers=("NHWC", "HWIO", "NHWC"), **options
        )
        return y.reshape(len(x), -1, *y.shape[1:3]).transpose(0, 2, 3, 1)

    down = each_channel(x, window_strides=(2, 2), padding=[(1, 1)] * 2)
    np.testing.assert_allclose(r3gan.downsample(x), down, atol=1e-6)
    up = 4 * each_channel(x, window_strides=(1, 1), padding=[(2, 2)] * 2, lhs_dilation=(2, 2))
    np.testing.assert_allclose(r3gan.upsample(x), up, atol=1e-6)


def test_upsampling_is_four_times_the_transpose_of_downsampling():
    x, y = (
        jax.random.normal(jax.random.key(i), s) for i, s in enumerate([(1, 3, 5, 2), (1, 6, 10, 2)])
    )
    up, down = jnp.vdot(r3gan.upsample(x), y), jnp.vdot(x, r3gan.downsample(y))
    np.testing.assert_allclose(up, 4 * down, rtol=1e-5)


def test_a_block_starts_as_the_identity():
    """The last convolution of a block is zero; the others have variance gain^2 / fan-in."""
    x = jax.random.normal(jax.random.key(0), (2, 4, 4, 64))
    module = r3gan.Block(groups=4, expansion=2, total=16, dtype="float32")
    variables = module.init(jax.random.key(1), x)
    np.testing.assert_array_equal(module.apply(variables, x), x)
    params = variables["params"]
    gain = np.sqrt(2 / 1.04) / 16**0.25
    for name, fan_in in (("Conv_0", 64), ("Conv_1", 9 * 32)):
        kernel = params[name]["kernel"]
        spread = float(kernel.std()) * np.sqrt(fan_in) / gain
        assert abs(spread - 1) < 4 / np.sqrt(2 * kernel.size)  # four standard errors
    assert not params["Conv_2"]["kernel"].any()


def test_images_start_at_the_scale_of_their_basis():
    """The initial generator is linear in z, with a mean square near 1.

    Blocks start as the identity. Resampling smooths, which reduces the mean square.
    """
    network = r3gan.Generator(**SMALL, channels=3)
    z = jax.random.normal(jax.random.key(0), (256, 64))
    variables = network.init(jax.random.key(1), z, train=True)
    images = network.apply(variables, z, train=True)
    assert images.shape == (256, 16, 16, 3)
    assert 0.05 < jnp.square(images).mean() < 1.5
    np.testing.assert_allclose(
        network.apply(variables, 2 * z, train=True), 2 * images, rtol=1e-4, atol=1e-5
    )


def test_logits_start_at_the_scale_of_images():
    network = r3gan.Discriminator(**SMALL)
    x = jax.random.normal(jax.random.key(0), (256, 16, 16, 3))
    variables = network.init(jax.random.key(1), x, train=True)
    assert 0.01 < network.apply(variables, x, train=True).std() < 3


def test_conditional_logit_is_a_projection():
    """The logit is linear in the label's embedding."""
    network = r3gan.Discriminator(**SMALL, classes=5, embedding=7)
    x, cond = jax.random.normal(jax.random.key(0), (5, 16, 16, 3)), jnp.arange(5)
    variables = network.init(jax.random.key(1), x, cond, train=True)
    logits = network.apply(variables, x, cond, train=True)
    params = variables["params"]
    assert params["embed"]["kernel"].shape == (5, 7)
    doubled = {**params, "embed": {"kernel": params["embed"]["kernel"].at[2].multiply(2)}}
    changed = network.apply({"params": doubled}, x, cond, train=True)
    np.testing.assert_allclose(changed, logits * jnp.array([1, 1, 2, 1, 1]), rtol=1e-5)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"size": 17}, r"size .* 16, 20, 24, 28 for 3 stages, got 17"),
        ({"size": 32}, r"size .* 3 stages, got 32"),
        ({"blocks": (1, 1)}, r"agree in length"),
        ({"widths": (), "cardinality": (), "blocks": ()}, r"widths .* got \(\)"),
    ],
)
@pytest.mark.parametrize("network", [r3gan.Generator, r3gan.Discriminator])
def test_inconsistent_fields_are_rejected(network, changes, message):
    options = {**SMALL, **changes}
    shape = (1, 8) if network is r3gan.Generator else (1, options["size"], options["size"], 3)
    with pytest.raises(ValueError, match=message):
        network(**options).init(jax.random.key(0), jnp.zeros(shape), train=True)
