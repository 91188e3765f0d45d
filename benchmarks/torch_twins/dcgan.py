"""PyTorch twin of gan_jax/networks/dcgan.py: batch norm in both networks, no classes."""

import torch  # pyright: ignore[reportMissingImports]
from torch import nn  # pyright: ignore[reportMissingImports]

from benchmarks.torch_twins import layers
from gan_jax.networks import dcgan


class Generator(nn.Module):
    """z [n, z_dim] -> images [n, c, size, size]."""

    def __init__(self, flax_module: dcgan.Generator, z_dim: int):
        super().__init__()
        self.out, self.count = flax_module.out, dcgan.num_stages(flax_module.size)
        self.side, width = flax_module.size >> self.count, flax_module.width << (self.count - 1)
        self.Dense_0 = nn.Linear(z_dim, self.side**2 * width, bias=False)
        self.BatchNorm_0 = nn.BatchNorm2d(width)
        for stage in range(1, self.count):
            layer = layers.conv_transpose(width, width // 2, bias=False)
            self.add_module(f"ConvTranspose_{stage - 1}", layer)
            self.add_module(f"BatchNorm_{stage}", nn.BatchNorm2d(width // 2))
            width //= 2
        last = layers.conv_transpose(width, flax_module.channels, bias=True)
        self.add_module(f"ConvTranspose_{self.count - 1}", last)

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        """Map z [n, z_dim] to [n, c, size, size]."""
        y = torch.relu(self.BatchNorm_0(layers.to_image(self.Dense_0(z), self.side)))
        for stage in range(1, self.count):
            y = self.get_submodule(f"ConvTranspose_{stage - 1}")(y)
            y = torch.relu(self.get_submodule(f"BatchNorm_{stage}")(y))
        y = self.get_submodule(f"ConvTranspose_{self.count - 1}")(y)
        return layers.activate(y, self.out)


class Discriminator(nn.Module):
    """Images [n, c, size, size] -> logits [n]."""

    def __init__(self, flax_module: dcgan.Discriminator, shape: tuple[int, ...]):
        super().__init__()
        if flax_module.norm != "batch":
            raise ValueError(f"norm must be batch, got {flax_module.norm}")
        self.count, channels = dcgan.num_stages(flax_module.size), shape[-1]
        for stage in range(self.count):
            features = flax_module.width << stage
            layer = layers.conv(channels, features, 4, stride=2, bias=stage == 0)
            self.add_module(f"Conv_{stage}", layer)
            if stage > 0:
                self.add_module(f"BatchNorm_{stage - 1}", nn.BatchNorm2d(features))
            channels = features
        side = flax_module.size >> self.count
        self.Dense_0 = nn.Linear(side**2 * channels, 1, bias=flax_module.last_bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map x [n, c, size, size] to [n]."""
        for stage in range(self.count):
            x = self.get_submodule(f"Conv_{stage}")(x)
            if stage > 0:
                x = self.get_submodule(f"BatchNorm_{stage - 1}")(x)
            x = layers.activate(x, "leaky_relu")
        return self.Dense_0(layers.flatten(x))[:, 0]
