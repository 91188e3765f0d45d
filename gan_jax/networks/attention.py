"""Self-attention, a layer of SAGAN (Zhang et al. 2019, 1805.08318, sec. 3, eq. 1 to 3)."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from gan_jax.networks import layers
from gan_jax.networks.conv.layers import Conv
from gan_jax.networks.layers import Dtype


class SelfAttention(nn.Module):
    """x [n, h, w, c] -> x + gamma v(o) [n, h, w, c], h and w even: every pixel sees every other.

    o_j = sum_i b_ji h(x)_i, where row j of b is the softmax over i of <f(x)_i, g(x)_j>. f and g are
    1x1 convolutions to c/8 channels, h one to c/2, v one back to c, all without bias; gamma, one
    number, starts at 0. As in the authors' code, f(x) and h(x) are the maxima of 2x2 pixels, so
    that i runs over a quarter of the pixels. Products and softmax are float32.

    Raises ValueError for pictures of odd sides.
    """

    spectral: bool = False
    """Spectral norm of the four convolutions, the paper's in both networks."""
    dtype: Dtype = "float32"
    """Of the convolutions and the output."""

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        n, height, width, c = x.shape
        if height % 2 or width % 2:
            raise ValueError(f"self-attention of {height}x{width} pixels: sides must be even")

        def conv(y: jax.Array, features: int, name: str) -> jax.Array:
            init = nn.initializers.glorot_uniform()
            layer = Conv(features, 1, use_bias=False, dtype=self.dtype, kernel_init=init, name=name)
            return layers.SpectralNorm(layer)(y, train=train) if self.spectral else layer(y)

        def rows(y: jax.Array) -> jax.Array:
            return y.reshape(n, -1, y.shape[-1]).astype(jnp.float32)

        def pooled(y: jax.Array) -> jax.Array:
            return y.reshape(n, height // 2, 2, width // 2, 2, y.shape[-1]).max((2, 4))

        few = max(c // 8, 1)
        keys = rows(pooled(conv(x, few, "f")))
        queries = rows(conv(x, few, "g"))
        values = rows(pooled(conv(x, max(c // 2, 1), "h")))
        weights = nn.softmax(jnp.einsum("njc,nic->nji", queries, keys))
        seen = jnp.einsum("nji,nic->njc", weights, values).reshape(n, height, width, -1)
        gamma = self.param("gamma", nn.initializers.zeros, ()).astype(self.dtype)
        y = conv(seen.astype(self.dtype), c, "v")
        return x.astype(self.dtype) + gamma * y
