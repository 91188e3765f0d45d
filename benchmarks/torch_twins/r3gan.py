"""PyTorch twin of gan_jax/networks/r3gan.py: no classes.

Resampling uses depthwise convolutions, as in the authors' code. On CPUs they are faster than
shifted sums.
"""

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
        """Map x [n, c, h, w] to [n, c, h, w]."""
        # Biases are added by the convolutions, which is faster.
        first, second = self.Conv_0, self.Conv_1
        y = functional.conv2d(x, first.weight, self.bias_0)
        y = layers.activate(y, "leaky_relu")
        y = functional.conv2d(y, second.weight, self.bias_1, padding=1, groups=second.groups)
        return x + self.Conv_2(layers.activate(y, "leaky_relu"))


class Resample(nn.Module):
    """Change of size between two stages, with the filter [1, 3, 3, 1] along both axes.

    If the width changes, a 1x1 convolution precedes upsampling or follows downsampling.
    """

    kernel: torch.Tensor

    def __init__(self, channels: int, features: int, *, up: bool):
        super().__init__()
        self.up, self.features = up, features
        if channels != features:
            self.Conv_0 = layers.conv(channels, features, 1, bias=False)
        kernel = torch.tensor([1.0, 3.0, 3.0, 1.0]) / (4 if up else 8)
        self.register_buffer("kernel", (kernel[:, None] * kernel)[None, None], persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map x [n, c, h, w] to [n, features, 2h, 2w] or [n, features, h/2, w/2]."""
        if not self.up:
            x = self._filter(x, functional.conv2d)
        if x.shape[1] != self.features:
            x = self.Conv_0(x)
        return self._filter(x, functional.conv_transpose2d) if self.up else x

    def _filter(self, x: torch.Tensor, convolve) -> torch.Tensor:
        channels = x.shape[1]
        kernel = self.kernel.expand(channels, 1, 4, 4)
        return convolve(x, kernel, stride=2, padding=1, groups=channels)


class Stages(nn.Module):
    """Blocks of all stages, and changes of size between them; `up` goes to larger images."""

    def __init__(self, flax_module: r3gan.Generator | r3gan.Discriminator, *, up: bool):
        super().__init__()
        order = [*range(len(flax_module.widths))]
        order = order if up else order[::-1]
        self.plan, blocks = [], 0
        for i, stage in enumerate(order):
            if i > 0:
                resample = Resample(
                    flax_module.widths[order[i - 1]], flax_module.widths[stage], up=up
                )
                self.add_module(f"Resample_{i - 1}", resample)
                self.plan.append(f"Resample_{i - 1}")
            for _ in range(flax_module.blocks[stage]):
                block = Block(
                    flax_module.widths[stage], flax_module.cardinality[stage], flax_module.expansion
                )
                self.add_module(f"Block_{blocks}", block)
                self.plan.append(f"Block_{blocks}")
                blocks += 1

    def stages(self, x: torch.Tensor) -> torch.Tensor:
        """Apply all stages in order."""
        for name in self.plan:
            x = self.get_submodule(name)(x)
        return x


class Generator(Stages):
    """z [n, z_dim] -> images [n, c, size, size]."""

    def __init__(self, flax_module: r3gan.Generator, z_dim: int):
        super().__init__(flax_module, up=True)
        self.out, width = flax_module.out, flax_module.widths[0]
        side = r3gan.smallest_side(flax_module.size, flax_module.widths)
        self.basis = nn.Parameter(torch.zeros(width, side, side))
        self.start = nn.Linear(z_dim, width, bias=False)
        self.Conv_0 = layers.conv(flax_module.widths[-1], flax_module.channels, 1, bias=False)

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        """Map z [n, z_dim] to [n, c, size, size]."""
        y = self.start(z)[:, :, None, None] * self.basis
        return layers.activate(self.Conv_0(self.stages(y)), self.out)


class Discriminator(Stages):
    """Images [n, c, size, size] -> logits [n]."""

    def __init__(self, flax_module: r3gan.Discriminator, shape: tuple[int, ...]):
        super().__init__(flax_module, up=False)
        width, side = (
            flax_module.widths[0],
            r3gan.smallest_side(flax_module.size, flax_module.widths),
        )
        self.Conv_0 = layers.conv(shape[-1], flax_module.widths[-1], 1, bias=False)
        self.basis = nn.Parameter(torch.zeros(width, side, side))
        self.end = nn.Linear(width, 1, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map x [n, c, size, size] to [n]."""
        y = self.stages(self.Conv_0(x))
        return self.end((y * self.basis).sum((2, 3)))[:, 0]
