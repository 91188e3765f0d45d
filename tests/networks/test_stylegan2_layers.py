"""StyleGAN2's layers against its papers, with loops in float64.

Resampling and modulated convolutions, the equalized learning rate, and the scale of activations.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.networks import stylegan2, stylegan2_layers

KEY = jax.random.key(0)
modulated_conv = jax.jit(stylegan2_layers.modulated_conv, static_argnames=("demodulate", "up"))


def normal(*shape, key=1):
    return jax.random.normal(jax.random.key(key), shape)


def correlate(x, kernel):
    """Correlate x [h, w, c_in] with kernel [a, b, c_in, c_out], without padding."""
    a, b = kernel.shape[:2]
    rows, columns = x.shape[0] - a + 1, x.shape[1] - b + 1
    y = np.zeros((rows, columns, kernel.shape[3]))
    for i in range(rows):
        for j in range(columns):
            y[i, j] = np.tensordot(x[i : i + a, j : j + b], kernel, 3)
    return y


def apply_filter(x):
    """Filter every channel of x [h, w, c] with the filter's outer product, of sum 1."""
    taps = np.outer([1, 3, 3, 1], [1, 3, 3, 1]) / 64
    channels = [x[..., i : i + 1] for i in range(x.shape[2])]
    return np.concatenate([correlate(channel, taps[..., None, None]) for channel in channels], -1)


def zero_pad(x, pad):
    return np.pad(x, ((pad, pad), (pad, pad), (0, 0)))


def reference_conv(x, kernel, resampling):
    """Compute one example's 3x3 convolution in the order of the definition.

    Up: zeros between the pixels, then the filter times 4, then the convolution. Down: the filter,
    then the convolution.
    """
    if resampling == "flat":
        return correlate(zero_pad(x, 1), kernel)
    if resampling == "down":
        return correlate(apply_filter(zero_pad(x, 2)), kernel)[::2, ::2]
    spread = np.zeros((2 * x.shape[0], 2 * x.shape[1], x.shape[2]))
    spread[::2, ::2] = x
    # Three zeros before and two after, because `spread` already ends with a zero.
    return correlate(4 * apply_filter(zero_pad(spread, 3)[:-1, :-1]), kernel)


@pytest.mark.parametrize("resampling", ["up", "down"])
def test_resampling_convolutions(resampling):
    x, kernel = normal(2, 4, 6, 3), normal(3, 3, 3, 2, key=2)
    layer = {"up": stylegan2_layers.up_conv, "down": stylegan2_layers.down_conv}[resampling]
    y = jax.jit(layer)(x, kernel)
    expected = [
        reference_conv(np.float64(example), np.float64(kernel), resampling) for example in x
    ]
    np.testing.assert_allclose(y, expected, atol=1e-5)  # float32 sums of some 40 products


@pytest.mark.parametrize("demodulate", [True, False])
@pytest.mark.parametrize("up", [False, True])
def test_modulated_convolution_equals_the_formula_for_each_example(up, demodulate):
    """1912.04958, eq. 1 and 3: w'_ijk = s_i w_ijk, w'' = w' / sqrt(sum_ik w'^2 + e)."""
    x, kernel, styles = normal(3, 4, 4, 5), normal(3, 3, 5, 2, key=2), normal(3, 5, key=3)
    y = modulated_conv(x, kernel, styles, demodulate=demodulate, up=up)
    for i in range(3):
        modulated = np.float64(kernel) * np.float64(styles[i])[:, None]
        if demodulate:
            modulated /= np.sqrt((modulated**2).sum((0, 1, 2)) + 1e-8)
        expected = reference_conv(np.float64(x[i]), modulated, "up" if up else "flat")
        np.testing.assert_allclose(y[i], expected, atol=2e-5)  # as above, numbers up to 30


def test_demodulated_outputs_have_unit_variance():
    """Use inputs of unit variance, and styles of any scale; borders have fewer inputs."""
    x, kernel = normal(2, 18, 18, 32), normal(3, 3, 32, 64, key=2)
    styles = jnp.array([[0.01], [30.0]]) * jnp.exp(normal(2, 32, key=3))
    y = modulated_conv(x, kernel, styles)[:, 1:-1, 1:-1]
    # 256 positions of 64 channels; neighbors share inputs, so the error is some 3 / sqrt(16384).
    np.testing.assert_allclose(jnp.square(y).mean((1, 2, 3)), 1, atol=0.1)


def test_bfloat16_does_not_round_norms():
    """Norms of bfloat16 convolutions are computed in float32.

    What remains is rounding, 2^-8 of numbers of size 1, of the input, the kernel and the result.
    """
    x, kernel, styles = normal(2, 4, 4, 8), normal(3, 3, 8, 4, key=2), 1e3 * normal(2, 8, key=3)
    y = modulated_conv(x, kernel, styles)
    rounded = modulated_conv(x.astype(jnp.bfloat16), kernel, styles)
    assert rounded.dtype == jnp.bfloat16
    np.testing.assert_allclose(rounded.astype(jnp.float32), y, atol=5 * 2**-8)


# Equalized learning rate


def test_equalized_learning_rate():
    """A rate of 1/100 stores a kernel 100 times as large, with 1/100 of the gradient."""
    x = normal(50, 30)

    @partial(jax.jit, static_argnums=0)
    def start(layer):
        params = layer.init(KEY, x)["params"]
        loss = jax.grad(lambda params: jnp.sin(layer.apply({"params": params}, x)).sum())
        return params, loss(params)

    (fast, fast_grads), (slow, slow_grads) = (
        start(stylegan2_layers.Dense(40, rate=rate)) for rate in (1.0, 0.01)
    )
    np.testing.assert_allclose(slow["kernel"], 100 * fast["kernel"], rtol=1e-6)
    assert abs(np.std(fast["kernel"]) - 1) < 4 / np.sqrt(2 * 1200)  # four standard errors
    for name in ("kernel", "bias"):
        # Float32 sums over 50 examples of either sign, up to 20.
        np.testing.assert_allclose(100 * slow_grads[name], fast_grads[name], rtol=1e-4, atol=1e-4)


def test_activations_keep_their_scale():
    """Apply 8 mapping layers, and 4 of the discriminator's convolutions."""

    @jax.jit
    def squares(z, y):
        w, _ = stylegan2.Mapping(256, 8).init_with_output(KEY, z, jnp.zeros((32, 0)))
        for i in range(4):
            y, _ = stylegan2_layers.Conv(48).init_with_output(jax.random.key(i), y)
        return jnp.square(w).mean(), jnp.square(y[:, 4:-4, 4:-4]).mean()

    for mean in squares(normal(32, 256), normal(2, 16, 16, 48)):
        assert 0.5 < mean < 2
