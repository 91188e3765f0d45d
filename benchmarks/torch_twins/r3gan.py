"""gan_jax/networks/r3gan.py in PyTorch: no classes. Resampling is by depthwise convolutions, as in
the authors' code, and quicker than shifted sums on CPUs."""

import torch  # pyright: ignore[reportMissingImports]
from torch import nn  # pyright: ignore[reportMissingImports]
from torch.nn import functional  # pyright: ignore[reportMissingImports]

from benchmarks.torch_twins import layers
from gan_jax.networks import r3gan


class Block(nn.Module):
    """x [n, c, h, w] -> x + a 1x1, a grouped 3x3 and a 1x1 convolution of it."""

    def __init__(self, channels: int, groups: int, expansion: int):
        super().__init__()
        width = channels * expansion
        self.Conv_0 = layers.conv(channels, width, 1, bias=False)
        self.Conv_1 = layers.conv(width, width, 3, bias=False, groups=groups)
        self.Conv_2 = layers.conv(width, channels, 1, bias=False)
        self.bias_0 = nn.Parameter(torch.zeros(width))
        self.bias_1 = nn.Parameter(torch.zeros(width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """x [n, c, h, w] -> [n, c, h, w]."""
        # The convolutions add the biases: quicker than by themselves.
        first, second = self.Conv_0, self.Conv_1
        y = functional.conv2d(x, first.weight, self.bias_0)
        y = layers.activate(y, "leaky_relu")
        y = functional.conv2d(y, second.weight, self.bias_1, padding=1, groups=second.groups)
        return x + self.Conv_2(layers.activate(y, "leaky_relu"))


class Resample(nn.Module):
    """Between two stages: a 1x1 convolution where the width changes, before going up or after
    going down, and the filter [1, 3, 3, 1] along both axes."""

    taps: torch.Tensor

    def __init__(self, channels: int, features: int, *, up: bool):
        super().__init__()
        self.up, self.features = up, features
        if channels != features:
            self.Conv_0 = layers.conv(channels, features, 1, bias=False)
        taps = torch.tensor([1.0, 3.0, 3.0, 1.0]) / (4 if up else 8)
        self.register_buffer("taps", (taps[:, None] * taps)[None, None], persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """x [n, c, h, w] -> [n, features, 2h, 2w] or [n, features, h/2, w/2]."""
        if not self.up:
            x = self._filtered(x, functional.conv2d)
        if x.shape[1] != self.features:
            x = self.Conv_0(x)
        return self._filtered(x, functional.conv_transpose2d) if self.up else x

    def _filtered(self, x: torch.Tensor, convolve) -> torch.Tensor:
        channels = x.shape[1]
        taps = self.taps.expand(channels, 1, 4, 4)
        return convolve(x, taps, stride=2, padding=1, groups=channels)


class Stages(nn.Module):
    """The blocks of all stages, from small pictures to large ones or back, and between them the
    changes of size."""

    def __init__(self, of: r3gan.Generator | r3gan.Discriminator, *, up: bool):
        super().__init__()
        order = [*range(len(of.widths))]
        order = order if up else order[::-1]
        self.plan, blocks = [], 0
        for i, stage in enumerate(order):
            if i > 0:
                resample = Resample(of.widths[order[i - 1]], of.widths[stage], up=up)
                self.add_module(f"Resample_{i - 1}", resample)
                self.plan.append(f"Resample_{i - 1}")
            for _ in range(of.blocks[stage]):
                block = Block(of.widths[stage], of.cardinality[stage], of.expansion)
                self.add_module(f"Block_{blocks}", block)
                self.plan.append(f"Block_{blocks}")
                blocks += 1

    def stages(self, x: torch.Tensor) -> torch.Tensor:
        """All of them in order."""
        for name in self.plan:
            x = self.get_submodule(name)(x)
        return x


class Generator(Stages):
    """z [n, z_dim] -> pictures [n, c, size, size]."""

    def __init__(self, of: r3gan.Generator, z_dim: int):
        super().__init__(of, up=True)
        self.out, width = of.out, of.widths[0]
        side = r3gan.smallest_side(of.size, of.widths)
        self.basis = nn.Parameter(torch.zeros(width, side, side))
        self.start = nn.Linear(z_dim, width, bias=False)
        self.Conv_0 = layers.conv(of.widths[-1], of.channels, 1, bias=False)

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        """z [n, z_dim] -> [n, c, size, size]."""
        y = self.start(z)[:, :, None, None] * self.basis
        return layers.activate(self.Conv_0(self.stages(y)), self.out)


class Discriminator(Stages):
    """Pictures [n, c, size, size] -> logits [n]."""

    def __init__(self, of: r3gan.Discriminator, shape: tuple[int, ...]):
        super().__init__(of, up=False)
        width, side = of.widths[0], r3gan.smallest_side(of.size, of.widths)
        self.Conv_0 = layers.conv(shape[-1], of.widths[-1], 1, bias=False)
        self.basis = nn.Parameter(torch.zeros(width, side, side))
        self.end = nn.Linear(width, 1, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """x [n, c, size, size] -> [n]."""
        y = self.stages(self.Conv_0(x))
        return self.end((y * self.basis).sum((2, 3)))[:, 0]
