"""Layers of the twins, as PyTorch has them or as its users write them."""

import torch  # pyright: ignore[reportMissingImports]
from torch import nn  # pyright: ignore[reportMissingImports]
from torch.nn import functional  # pyright: ignore[reportMissingImports]


def conv(c_in: int, c_out: int, size: int, *, bias: bool = True, stride: int = 1, groups: int = 1):
    """(k-1)//2 zeros on every side, as gan_jax/networks/conv/layers.py."""
    return nn.Conv2d(c_in, c_out, size, stride, (size - 1) // 2, groups=groups, bias=bias)


def conv_transpose(c_in: int, c_out: int, *, bias: bool) -> nn.ConvTranspose2d:
    """4x4 with stride 2."""
    return nn.ConvTranspose2d(c_in, c_out, 4, 2, 1, bias=bias)


def activate(x: torch.Tensor, name: str) -> torch.Tensor:
    """The named nonlinearity."""
    match name:
        case "linear":
            return x
        case "leaky_relu":
            return functional.leaky_relu(x, 0.2)
        case "relu" | "tanh" | "sigmoid":
            return getattr(torch, name)(x)
    raise ValueError(f"the twins have no nonlinearity {name!r}")


def picture(x: torch.Tensor, side: int) -> torch.Tensor:
    """A linear layer's output, in Flax's order of axes, as [n, c, side, side]."""
    return x.reshape(len(x), side, side, -1).permute(0, 3, 1, 2).contiguous()


def flat(x: torch.Tensor) -> torch.Tensor:
    """The inverse of `picture`: [n, c, h, w] -> [n, h*w*c]."""
    return x.permute(0, 2, 3, 1).flatten(1)


def normalized(weight: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
    """The weight over its largest singular value, by one power iteration a call from `u`, which is
    moved on: 1802.05957, alg. 1, with the epsilon of Flax."""
    matrix = weight.flatten(1)
    with torch.no_grad():
        v = _unit(u @ matrix)
        u.copy_(_unit(matrix @ v))
    return weight / (u.clone() @ matrix @ v)


def _unit(x: torch.Tensor) -> torch.Tensor:
    return x * torch.rsqrt(x.square().sum() + 1e-12)


class SpectralConv(nn.Conv2d):
    """A convolution of (k-1)//2 zeros on every side, spectrally normalised."""

    u: torch.Tensor

    def __init__(self, c_in: int, c_out: int, size: int):
        super().__init__(c_in, c_out, size, padding=(size - 1) // 2)
        self.register_buffer("u", torch.zeros(c_out))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """x [n, c_in, h, w] -> [n, c_out, h, w]."""
        return functional.conv2d(
            x, normalized(self.weight, self.u), self.bias, padding=self.padding
        )


class SpectralLinear(nn.Linear):
    """A linear layer, spectrally normalised."""

    u: torch.Tensor

    def __init__(self, d_in: int, d_out: int, bias: bool):
        super().__init__(d_in, d_out, bias)
        self.register_buffer("u", torch.zeros(d_out))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """x [n, d_in] -> [n, d_out]."""
        return functional.linear(x, normalized(self.weight, self.u), self.bias)
