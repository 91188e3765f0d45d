"""Self-attention layer of SAGAN (Zhang et al. 2019, 1805.08318, sec. 3, eq. 1 to 3)."""

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from gan_jax.networks import layers
from gan_jax.networks.conv.layers import Conv
from gan_jax.networks.layers import Dtype


class SelfAttention(nn.Module):
    """Residual self-attention over pixels, x -> x + gamma v(o), both [n, h, w, c].

    o_j = sum_i b_ji h(x)_i, where row j of b is the softmax over i of <f(x)_i, g(x)_j>. f and g are
    1x1 convolutions to c/8 channels, h one to c/2 and v one back to c, all without bias. The scalar
    gamma is initialized to 0. As in the authors' code, f(x) and h(x) are max-pooled over 2x2
    pixels, so i runs over a quarter of the pixels. Products and softmax are float32.

    Raises ValueError if h or w is odd.
    """

    spectral: bool = False
    """Spectral norm of the four convolutions; in the paper in both networks."""
    dtype: Dtype = "float32"
    """Dtype of the convolutions and the output."""

    @nn.compact
    def __call__(self, x: Float[Array, "n h w c"], *, train: bool) -> Float[Array, "n h w c"]:
        """Apply the layer."""
        n, height, width, c = x.shape
        if height % 2 or width % 2:
            raise ValueError(f"sides must be even for self-attention, got {height}x{width}")

        def conv(y: Array, features: int, name: str) -> Array:
            init = nn.initializers.glorot_uniform()
            layer = Conv(features, 1, use_bias=False, dtype=self.dtype, kernel_init=init, name=name)
            return layers.SpectralNorm(layer)(y, train=train) if self.spectral else layer(y)

        def flatten(y: Array) -> Array:
            return y.reshape(n, -1, y.shape[-1]).astype(jnp.float32)

        def max_pool(y: Array) -> Array:
            return y.reshape(n, height // 2, 2, width // 2, 2, y.shape[-1]).max((2, 4))

        key_size = max(c // 8, 1)
        keys = flatten(max_pool(conv(x, key_size, "f")))
        queries = flatten(conv(x, key_size, "g"))
        values = flatten(max_pool(conv(x, max(c // 2, 1), "h")))
        weights = nn.softmax(jnp.einsum("njc,nic->nji", queries, keys))
        attended = jnp.einsum("nji,nic->njc", weights, values).reshape(n, height, width, -1)
        gamma = self.param("gamma", nn.initializers.zeros, ()).astype(self.dtype)
        y = conv(attended.astype(self.dtype), c, "v")
        return x.astype(self.dtype) + gamma * y
