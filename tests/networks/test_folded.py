"""Strided convolutions by space-to-depth equal lax's, and their transposes its gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from gan_jax.networks.conv import strided


def plain(x, kernel, stride):
    spatial = x.ndim - 2
    letters = "HW"[:spatial]
    numbers = (f"N{letters}C", f"{letters}IO", f"N{letters}C")
    return lax.conv_general_dilated(
        x, kernel, (stride,) * spatial, "SAME", dimension_numbers=numbers
    )


def operations(spatial, stride):
    if spatial == 2:
        return strided.conv_2d, strided.conv_transpose_2d
    return (
        lambda x, kernel: strided.conv_1d(x, kernel, stride),
        lambda x, kernel: strided.conv_transpose_1d(x, kernel, stride),
    )


@pytest.mark.parametrize(
    ("spatial", "size", "stride"), [(1, 25, 4), (1, 9, 2), (1, 5, 1), (1, 25, 16), (2, 5, 2)]
)
def test_convolutions_equal_those_of_lax(spatial, size, stride):
    random = np.random.default_rng(0)
    shape = (2 * stride if size == 25 else 6,) * spatial
    shape = tuple(-(-length // stride) * stride for length in shape)
    x = jnp.asarray(random.normal(size=(2, *shape, 3)), jnp.float32)
    kernel = jnp.asarray(random.normal(size=(*(size,) * spatial, 3, 4)), jnp.float32)
    forward, transposed = operations(spatial, stride)
    y, vjp = jax.vjp(lambda x: plain(x, kernel, stride), x)
    g = jnp.asarray(random.normal(size=y.shape), jnp.float32)
    # Sums of up to 75 products of numbers around 1, in another order.
    np.testing.assert_allclose(forward(x, kernel), y, atol=1e-4)
    np.testing.assert_allclose(transposed(g, kernel), vjp(g)[0], atol=1e-4)


def test_a_stride_must_divide_the_length():
    with pytest.raises(ValueError, match="10 positions, got 4"):
        strided.conv_1d(jnp.zeros((1, 10, 1)), jnp.zeros((25, 1, 1)), 4)
