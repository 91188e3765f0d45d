"""Convolutions: the algorithms for CPUs equal the plain operation, to every derivative."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.flatten_util import ravel_pytree

from gan_jax.networks.conv import winograd, winograd_strided
from gan_jax.networks.conv.layers import Conv, ConvTranspose, conv, conv_transpose

# Sums of up to some thousand float32 products in another order; values are around 1.
close = partial(np.testing.assert_allclose, rtol=2e-4, atol=2e-4)

CASES = {  # size, stride, groups, c, d, height, width
    "3x3": (3, 1, 1, 12, 10, 6, 5),
    "3x3, fewer out than in": (3, 1, 1, 20, 9, 5, 6),
    "3x3 from 3 channels": (3, 1, 1, 3, 8, 6, 6),
    "3x3 to 3 channels": (3, 1, 1, 16, 3, 5, 6),
    "3x3, 64 channels": (3, 1, 1, 64, 64, 4, 6),
    "5x5": (5, 1, 1, 9, 4, 7, 6),
    "1x1": (1, 1, 1, 5, 7, 4, 3),
    "1x1, stride 2": (1, 2, 1, 5, 4, 6, 5),
    "4x4, stride 2": (4, 2, 1, 5, 6, 8, 6),
    "4x4, stride 2, 64 channels": (4, 2, 1, 64, 64, 4, 8),
    "4x4, stride 2, odd images": (4, 2, 1, 5, 6, 7, 9),
    "3x3, stride 2": (3, 2, 1, 10, 6, 7, 8),
    "3x3 in groups": (3, 1, 4, 8, 12, 5, 4),
    "3x3 in groups, stride 2": (3, 2, 2, 16, 6, 6, 5),
    "1x1 in groups": (1, 1, 3, 6, 9, 4, 4),
    "depthwise": (3, 1, 6, 6, 6, 5, 5),
}


def plain(x, kernel, *, stride=1, groups=1):
    """Apply the operation that `conv` implements."""
    pad = (kernel.shape[0] - 1) // 2
    return lax.conv_general_dilated(
        x,
        kernel,
        (stride, stride),
        [(pad, pad)] * 2,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=groups,
    )


def plain_transpose(x, kernel, *, stride=2):
    pad = kernel.shape[0] - 1 - (kernel.shape[0] - 1) // 2
    return lax.conv_transpose(
        x, kernel, (stride, stride), [(pad, pad)] * 2, dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


def normal(seed, *shape):
    return jax.random.normal(jax.random.key(seed), shape)


def operands(case):
    size, stride, groups, c, d, height, width = CASES[case]
    x = normal(0, 3, height, width, c)
    kernel = normal(1, size, size, c // groups, d) / np.sqrt(size * size * c / groups)
    return x, kernel, {"stride": stride, "groups": groups}


def r1(operation, x, kernel):
    """Compute the R1 penalty of a discriminator, its squared gradient."""

    def discriminator(x):
        return jnp.sum(jnp.tanh(operation(x, kernel)))

    return jnp.sum(jnp.square(jax.grad(discriminator)(x)))


@pytest.fixture(params=CASES)
def case(request):
    """Return our operation, the plain one, and operands, for every algorithm."""
    x, kernel, options = operands(request.param)
    return partial(conv, **options), partial(plain, **options), x, kernel


def close_to_scale(a, b):
    """Compare relative to the largest value, since second derivatives are large."""
    close(a / jnp.abs(b).max(), b / jnp.abs(b).max())


def in_one_program(case, function):
    """Return function(operation, x, kernel) for our operation and for the plain one."""
    ours, reference, x, kernel = case
    return jax.jit(lambda x, kernel: (function(ours, x, kernel), function(reference, x, kernel)))(
        x, kernel
    )


def test_values_and_gradients(case):
    """Compare forward-mode and reverse-mode derivatives."""

    def both(operation, x, kernel):
        y, back = jax.vjp(operation, x, kernel)
        tangents = normal(3, *x.shape), normal(4, *kernel.shape)
        return y, back(normal(2, *y.shape)), jax.jvp(operation, (x, kernel), tangents)[1]

    jax.tree.map(close, *in_one_program(case, both))


def test_gradients_of_gradients(case):
    actual, expected = in_one_program(
        case, lambda operation, x, kernel: jax.grad(partial(r1, operation), (0, 1))(x, kernel)
    )
    jax.tree.map(close_to_scale, actual, expected)


def test_third_derivatives():
    x, kernel, options = operands("4x4, stride 2")

    @partial(jax.jit, static_argnums=0)
    def third(operation):
        def along(t):
            return r1(partial(operation, **options), x + t * x, kernel * (1 + t))

        return jax.grad(jax.grad(along))(0.5)

    np.testing.assert_allclose(third(conv), third(plain), rtol=1e-4)


@pytest.mark.parametrize("case", ["3x3", "3x3 in groups, stride 2"], indirect=True)
@pytest.mark.parametrize("mapped", [(0, None), (None, 0), (0, 0)], ids=["x", "kernel", "both"])
def test_vmap(case, mapped):
    """Map values and second derivatives over one operand or both, and twice."""
    ours, reference, x, kernel = case
    batched = [
        jnp.stack([a, jnp.flip(a, 0), 2 * a]) if m == 0 else a
        for a, m in zip((x, kernel), mapped, strict=True)
    ]

    def run(operation, x, kernel):
        def evaluate(x, w):
            return operation(x, w), jax.grad(partial(r1, operation), (0, 1))(x, w)

        once = jax.vmap(evaluate, mapped)
        return once(x, kernel), jax.vmap(once, (0, None))(jnp.stack([x, -x]), kernel)

    jax.tree.map(close_to_scale, *in_one_program((ours, reference, *batched), run))


@pytest.mark.parametrize(("size", "stride"), [(4, 2), (3, 1), (2, 2), (6, 2), (5, 1)])
@pytest.mark.parametrize(("c", "d"), [(6, 4), (4, 3)])
def test_transposed_convolution(size, stride, c, d):
    """Compare values and second derivatives."""
    x, kernel = normal(0, 2, 4, 5, c), normal(1, size, size, c, d) / size / np.sqrt(c)
    ours, reference = (partial(f, stride=stride) for f in (conv_transpose, plain_transpose))
    actual, expected = in_one_program(
        (ours, reference, x, kernel),
        lambda f, x, kernel: (f(x, kernel), jax.grad(partial(r1, f), (0, 1))(x, kernel)),
    )
    jax.tree.map(close_to_scale, actual, expected)


WINOGRADS = {"3x3": winograd, "4x4, stride 2": winograd_strided}


@pytest.mark.parametrize("name", WINOGRADS)
@pytest.mark.parametrize("shape", [(2, 72, 68, 2), (3, 40, 40, 2), (6, 4, 8, 5)])
def test_winograd_algorithms(name, shape):
    """Compare with the plain operation for every division of a batch into blocks.

    A block has one image if images are larger than a block, or the whole batch. The last block may
    be smaller than the others.
    """
    (size, stride, *_), module = CASES[name], WINOGRADS[name]
    x, w = normal(0, *shape), normal(1, size, size, shape[-1], 3)
    y, back = jax.vjp(partial(plain, stride=stride), x, w)
    close(module.forward(x, w), y)
    cotangent = normal(2, *y.shape)
    close_to_scale(module.kernel_gradient(x, cotangent), back(cotangent)[1])
    if stride == 2:  # with stride 1 it is another forward pass
        close(module.input_gradient(w, cotangent), back(cotangent)[0])


@pytest.mark.parametrize(("name", "largest"), [("3x3", 5e-6), ("4x4, stride 2", 4e-6)])
def test_winograd_rounding_errors(name, largest):
    """Compare outputs around 1 from 256 channels with float64, as documented."""
    size, stride, *_ = CASES[name]
    x = np.asarray(normal(0, 4, 8, 8, 256))
    w = np.asarray(normal(1, size, size, 256, 64)) / (16 * size)
    padded = np.pad(x.astype(np.float64), ((0, 0), (1, 1), (1, 1), (0, 0)))
    exact = sum(
        padded[:, i : i + 8 : stride, j : j + 8 : stride] @ w[i, j].astype(np.float64)
        for i, j in np.ndindex(size, size)
    )
    assert abs(WINOGRADS[name].forward(x, w) - exact).max() < largest


def test_transposed_convolution_doubles_the_side():
    assert conv_transpose(jnp.zeros((1, 7, 7, 2)), jnp.zeros((4, 4, 2, 3))).shape == (1, 14, 14, 3)


def test_bfloat16_is_rounded_once():
    x, kernel, options = operands("3x3 in groups")
    x, kernel = x.astype(jnp.bfloat16), kernel.astype(jnp.bfloat16)
    result = conv(x, kernel, **options)
    wide = conv(x.astype(jnp.float32), kernel.astype(jnp.float32), **options)
    assert result.dtype == jnp.bfloat16
    np.testing.assert_array_equal(result, wide.astype(jnp.bfloat16))


def test_under_pmap_and_in_a_loop():
    x, kernel, options = operands("4x4, stride 2")
    ours = jax.grad(partial(r1, partial(conv, **options)), 1)
    mean = jax.pmap(lambda x: lax.pmean(ours(x, kernel), "i"), "i", devices=jax.devices()[:3])(
        x[:, None]
    )
    close(3 * mean[0], ours(x, kernel))
    loop = lax.fori_loop(0, 3, lambda i, sum_: sum_ + ours(x, kernel), jnp.zeros_like(kernel))
    close(loop / 3, ours(x, kernel))


def lowered(platform):
    """Lower a gradient penalty with a grouped, a 1x1 and a transposed convolution."""

    def network(x, kernels):
        y = conv(x, kernels[0], groups=2)
        return conv_transpose(conv(jnp.tanh(y), kernels[1]), kernels[2])

    kernels = normal(0, 3, 3, 4, 8), normal(1, 1, 1, 8, 8), normal(2, 4, 4, 8, 2)
    program = jax.jit(jax.grad(partial(r1, network), 1))
    traced = program.trace(normal(3, 2, 6, 6, 8), kernels)
    return traced.lower(lowering_platforms=(platform,)).as_text()


@pytest.mark.parametrize("platform", ["cuda", "tpu"])
def test_accelerators_keep_the_plain_convolution(platform):
    text = lowered(platform)
    assert "feature_group_count = 2" in text
    assert "while" not in text
    assert "dot_general" not in text


def test_cpu_has_no_grouped_convolution():
    text = lowered("cpu")
    assert "feature_group_count = 2" not in text
    assert "batch_group_count = 2" not in text
    assert "while" in text
    assert "dot_general" in text  # the 1x1


@pytest.mark.parametrize(
    ("x", "kernel", "groups"),
    [((2, 4, 4, 3), (3, 3, 4, 2), 1), ((2, 4, 4, 4), (3, 3, 4, 2), 2)],
)
def test_incompatible_shapes_are_rejected(x, kernel, groups):
    with pytest.raises(ValueError, match=r"shapes of a convolution"):
        conv(jnp.zeros(x), jnp.zeros(kernel), groups=groups)


@pytest.mark.parametrize("layer", [Conv(8, 3, groups=2), ConvTranspose(8)], ids=["plain", "up"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_layers(layer, dtype):
    """Parameters are float32, the output has the layer's dtype, and the bias is added."""
    x = normal(0, 2, 4, 4, 4)
    layer = layer.clone(dtype=dtype)
    variables = layer.init(jax.random.key(0), x)
    shapes = jax.tree.map(jnp.shape, variables["params"])
    kernel = (3, 3, 2, 8) if isinstance(layer, Conv) else (4, 4, 4, 8)
    assert shapes == {"kernel": kernel, "bias": (8,)}
    assert ravel_pytree(variables)[0].dtype == jnp.float32
    y = layer.apply(variables, x)
    assert y.dtype == dtype
    shifted = {"params": {**variables["params"], "bias": jnp.full((8,), 2.0)}}
    np.testing.assert_allclose(
        jnp.float32(layer.apply(shifted, x)),
        jnp.float32(y) + 2,
        atol=0 if dtype == "float32" else 0.05,
    )
