"""Layers of the twins."""

import torch  # pyright: ignore[reportMissingImports]
from torch import nn  # pyright: ignore[reportMissingImports]
from torch.nn import functional  # pyright: ignore[reportMissingImports]


def conv(c_in: int, c_out: int, size: int, *, bias: bool = True, stride: int = 1, groups: int = 1):
    """Return a convolution padded like that of gan_jax/networks/conv/layers.py.

    Args:
        c_in: Number of input channels.
        c_out: Number of output channels.
        size: Side of the kernel.
        bias: Add a bias.
        stride: Stride.
        groups: Number of groups of channels.

    Returns:
        The layer.
    """
    return nn.Conv2d(c_in, c_out, size, stride, (size - 1) // 2, groups=groups, bias=bias)


def conv_transpose(c_in: int, c_out: int, *, bias: bool) -> nn.ConvTranspose2d:
    """Return a 4x4 transposed convolution of stride 2.

    Args:
        c_in: Number of input channels.
        c_out: Number of output channels.
        bias: Add a bias.

    Returns:
        The layer.
    """
    return nn.ConvTranspose2d(c_in, c_out, 4, 2, 1, bias=bias)


def activate(x: torch.Tensor, name: str) -> torch.Tensor:
    """Apply the named nonlinearity."""
    match name:
        case "linear":
            return x
        case "leaky_relu":
            return functional.leaky_relu(x, 0.2)
        case "relu" | "tanh" | "sigmoid":
            return getattr(torch, name)(x)
    raise ValueError(f"nonlinearity must be one of the twins', got {name!r}")


def to_image(x: torch.Tensor, side: int) -> torch.Tensor:
    """Reshape a linear layer's output, in Flax's order of axes, to [n, c, side, side]."""
    return x.reshape(len(x), side, side, -1).permute(0, 3, 1, 2).contiguous()


def flatten(x: torch.Tensor) -> torch.Tensor:
    """Invert `to_image`: [n, c, h, w] -> [n, h*w*c]."""
    return x.permute(0, 2, 3, 1).flatten(1)


def spectral_normalize(weight: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
    """Divide the weight by its largest singular value.

    1802.05957, alg. 1, with Flax's epsilon. Each call makes one power iteration and updates `u` in
    place.
    """
    matrix = weight.flatten(1)
    with torch.no_grad():
        v = _unit(u @ matrix)
        u.copy_(_unit(matrix @ v))
    return weight / (u.clone() @ matrix @ v)


def _unit(x: torch.Tensor) -> torch.Tensor:
    return x * torch.rsqrt(x.square().sum() + 1e-12)


class SpectralConv(nn.Conv2d):
    """Convolution with spectral norm, padded by (k-1)//2 on every side."""

    u: torch.Tensor

    def __init__(self, c_in: int, c_out: int, size: int):
        super().__init__(c_in, c_out, size, padding=(size - 1) // 2)
        self.register_buffer("u", torch.zeros(c_out))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map x [n, c_in, h, w] to [n, c_out, h, w]."""
        return functional.conv2d(
            x, spectral_normalize(self.weight, self.u), self.bias, padding=self.padding
        )


class SpectralLinear(nn.Linear):
    """Linear layer with spectral norm."""

    u: torch.Tensor

    def __init__(self, d_in: int, d_out: int, bias: bool):
        super().__init__(d_in, d_out, bias)
        self.register_buffer("u", torch.zeros(d_out))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map x [n, d_in] to [n, d_out]."""
        return functional.linear(x, spectral_normalize(self.weight, self.u), self.bias)
