"""WGAN-GP's residual networks against the paper's: initialization, blocks and logit."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.networks import resnet, wgan_gp

KEY = jax.random.key(0)


def init(module, *inputs):
    return jax.jit(lambda: module.init(KEY, *inputs, train=True))()


@pytest.mark.parametrize(
    ("network", "shape", "residual", "rest"),
    [
        # Outside the blocks' 3x3 convolutions: z, three shortcuts and the pixels; two shortcuts
        # and the logit.
        (wgan_gp.Generator(width=32), (2, 128), 6, 5),
        (wgan_gp.Discriminator(width=32), (2, 32, 32, 3), 8, 3),
    ],
)
def test_initialization(network, shape, residual, rest):
    """Kernels are uniform with variance 4 / (fan_in + fan_out) in blocks' 3x3, else half."""
    params = init(network, jnp.zeros(shape))["params"]
    counts = {4: 0, 2: 0}
    for path, leaf in jax.tree.leaves_with_path(params):
        if path[-1].key != "kernel":
            continue
        area = np.prod(leaf.shape[:-2])
        size = 4 if "Block" in path[0].key and area == 9 else 2
        deviation = np.sqrt(size / (area * (leaf.shape[-2] + leaf.shape[-1])))
        counts[size] += 1
        assert np.abs(leaf).max() <= np.sqrt(3) * deviation * (1 + 1e-6)  # float32 rounding
        # Four standard errors of a uniform distribution's standard deviation, 0.447 / sqrt(n).
        assert abs(leaf.std() / deviation - 1) < 4 * 0.447 / np.sqrt(leaf.size)
    assert counts == {4: residual, 2: rest}


def test_the_logit_is_a_projection_of_the_mean_over_pixels():
    network = wgan_gp.Discriminator(width=4, classes=3, last_bias=True)
    x, cond = jax.random.normal(KEY, (4, 32, 32, 3)), jnp.array([2, 0, 1, 2])
    variables = init(network, x, cond)
    options = {
        "capture_intermediates": lambda module, _: isinstance(module, resnet.DownBlock),
        "mutable": "intermediates",
    }
    logits, captured = jax.jit(lambda: network.apply(variables, x, cond, train=True, **options))()
    blocks = [captured["intermediates"][f"DownBlock_{i}"]["__call__"][0] for i in range(4)]
    assert [block.shape[1] for block in blocks] == [16, 8, 8, 8]
    phi = np.maximum(blocks[-1], 0).mean((1, 2))
    w, embed = variables["params"]["Dense_0"]["kernel"], variables["params"]["embed"]["kernel"]
    expected = phi @ w[:, 0] + (phi * embed[np.asarray(cond)]).sum(1)
    # Float32 sums of 4 products of numbers about 1.
    np.testing.assert_allclose(logits, expected, rtol=1e-5, atol=1e-6)


def plain_conv(x, kernel):
    """Convolve with zero padding, one kernel position at a time."""
    pad = kernel.shape[0] // 2
    x = np.pad(x, ((0, 0), (pad, pad), (pad, pad), (0, 0)))
    height, width = x.shape[1] - 2 * pad, x.shape[2] - 2 * pad
    return sum(
        x[:, i : i + height, j : j + width] @ kernel[i, j]
        for i in range(kernel.shape[0])
        for j in range(kernel.shape[1])
    )


def test_a_block_of_the_critic_equals_the_papers():
    """The shortcut's convolution precedes the mean over pixels, as in the authors' code."""
    x = jax.random.normal(KEY, (2, 4, 6, 3))
    for first in (False, True):
        block = resnet.DownBlock(5, down=True, first=first, spectral=False, dtype="float32")
        params = init(block, x)["params"]
        w = [np.asarray(params[f"Conv_{i}"]["kernel"], np.float64) for i in range(3)]
        y = np.asarray(x, np.float64)
        shortcut = plain_conv(y, w[2])
        y = plain_conv(y if first else np.maximum(y, 0), w[0])
        y = plain_conv(np.maximum(y, 0), w[1]) + shortcut
        y = (y[:, ::2, ::2] + y[:, 1::2, ::2] + y[:, ::2, 1::2] + y[:, 1::2, 1::2]) / 4
        # Float32 sums of 50 products about 1.
        np.testing.assert_allclose(block.apply({"params": params}, x, train=True), y, atol=1e-5)


def test_a_block_of_the_generator_equals_the_papers():
    x = jax.random.normal(KEY, (3, 2, 3, 4))
    block = resnet.UpBlock(5, None, "float32")
    variables = init(block, x, jnp.zeros((3, 0)))
    w = [np.asarray(variables["params"][f"Conv_{i}"]["kernel"], np.float64) for i in range(3)]

    def activate(y):
        return np.maximum((y - y.mean((0, 1, 2))) / np.sqrt(y.var((0, 1, 2)) + 1e-5), 0)

    def double(y):
        return np.repeat(np.repeat(y, 2, 1), 2, 2)

    x64 = np.asarray(x, np.float64)
    y = plain_conv(activate(plain_conv(double(activate(x64)), w[0])), w[1])
    y += plain_conv(double(x64), w[2])
    output = block.apply(variables, x, jnp.zeros((3, 0)), train=True, mutable="batch_stats")[0]
    np.testing.assert_allclose(output, y, atol=1e-5)  # float32 sums of 50 products about 1


@pytest.mark.parametrize("network", [wgan_gp.Generator(size=30), wgan_gp.Discriminator(size=30)])
def test_other_sizes_are_rejected(network):
    shape = (1, 8) if isinstance(network, wgan_gp.Generator) else (1, 30, 30, 3)
    with pytest.raises(ValueError, match=r"wgan_gp: size .* \[28, 32, 64\], got 30"):
        network.init(KEY, jnp.zeros(shape), train=True)
