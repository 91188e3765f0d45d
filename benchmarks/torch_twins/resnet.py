"""PyTorch twin of gan_jax/networks/resnet.py: no classes."""

import torch  # pyright: ignore[reportMissingImports]
from torch import nn  # pyright: ignore[reportMissingImports]
from torch.nn import functional  # pyright: ignore[reportMissingImports]

from benchmarks.torch_twins import layers


def upsample(x: torch.Tensor) -> torch.Tensor:
    """Repeat every pixel four times."""
    return functional.interpolate(x, scale_factor=2, mode="nearest")


def downsample(x: torch.Tensor) -> torch.Tensor:
    """Average 2x2 pixels."""
    return functional.avg_pool2d(x, 2)


class UpBlock(nn.Module):
    """Block of a generator: x [n, c, h, w] -> [n, features, 2h, 2w]."""

    def __init__(self, channels: int, features: int):
        super().__init__()
        self.BatchNorm_0 = nn.BatchNorm2d(channels)
        self.Conv_0 = layers.conv(channels, features, 3, bias=False)
        self.BatchNorm_1 = nn.BatchNorm2d(features)
        self.Conv_1 = layers.conv(features, features, 3, bias=False)
        self.Conv_2 = layers.conv(channels, features, 1, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map x [n, c, h, w] to [n, features, 2h, 2w]."""
        y = self.Conv_0(upsample(torch.relu(self.BatchNorm_0(x))))
        y = self.Conv_1(torch.relu(self.BatchNorm_1(y)))
        return upsample(self.Conv_2(x)) + y


class DownBlock(nn.Module):
    """Block of a discriminator: x [n, c, h, w] -> [n, features, h, w], or half of h and w."""

    def __init__(self, channels: int, features: int, *, down: bool, first: bool, spectral: bool):
        super().__init__()
        self.down, self.first = down, first
        conv = layers.SpectralConv if spectral else layers.conv
        hidden = features if first else channels
        self.Conv_0, self.Conv_1 = conv(channels, hidden, 3), conv(hidden, features, 3)
        self.shortcut = down or channels != features
        if self.shortcut:
            self.Conv_2 = conv(channels, features, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map x [n, c, h, w] to [n, features, ...]."""
        y = x if self.first else torch.relu(x)
        y = self.Conv_1(torch.relu(self.Conv_0(y)))
        if self.down:
            x, y = downsample(x), downsample(y)
        return (self.Conv_2(x) if self.shortcut else x) + y


class Generator(nn.Module):
    """z [n, z_dim] -> images [n, c, h, w]; `features` are the widths of the blocks."""

    def __init__(self, z_dim: int, side: int, start: int, features: list[int], c: int, out: str):
        super().__init__()
        self.side, self.out, self.blocks = side, out, len(features)
        self.Dense_0 = nn.Linear(z_dim, side**2 * start)
        for i, (c_in, c_out) in enumerate(zip([start, *features], features, strict=False)):
            self.add_module(f"UpBlock_{i}", UpBlock(c_in, c_out))
        self.BatchNorm_0 = nn.BatchNorm2d(features[-1])
        self.Conv_0 = layers.conv(features[-1], c, 3)

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        """Map z [n, z_dim] to [n, c, h, w]."""
        y = layers.to_image(self.Dense_0(z), self.side)
        for i in range(self.blocks):
            y = self.get_submodule(f"UpBlock_{i}")(y)
        return layers.activate(self.Conv_0(torch.relu(self.BatchNorm_0(y))), self.out)


class Features(nn.Module):
    """Images [n, c, h, w] -> features [n, features, h', w']; the first `down` blocks halve."""

    def __init__(self, channels: int, features: list[int], down: int, *, spectral: bool):
        super().__init__()
        self.blocks = len(features)
        for i, width in enumerate(features):
            block = DownBlock(channels, width, down=i < down, first=i == 0, spectral=spectral)
            self.add_module(f"DownBlock_{i}", block)
            channels = width

    def features(self, x: torch.Tensor) -> torch.Tensor:
        """Map x [n, c, h, w] to [n, features, h', w']."""
        for i in range(self.blocks):
            x = self.get_submodule(f"DownBlock_{i}")(x)
        return torch.relu(x)
