"""cGAN with projection discriminator on CIFAR-10 (Miyato & Koyama 2018, 1802.05637).

Data     cifar10 as tensorflow-datasets prepares it; --data.name cifar10_jpeg75 for the lossy one,
         whose scores are never comparable with published ones
Command  python -m experiments.cifar10_cgan_projection [--preset small]

experiments/cifar10_sngan.py with labels: conditional batch norm in the generator, the projection in
the critic, as the authors' code has it for CIFAR-10.
"""

import dataclasses

from gan_jax import train
from gan_jax.config import Config, Logging, Preset

from . import cifar10_sngan


def conditional(config: Config, name: str) -> Config:
    """The same, given the ten classes."""
    return config.replace(
        name=name,
        gen=dataclasses.replace(config.gen, classes=10),  # pyright: ignore[reportArgumentType]
        disc=dataclasses.replace(config.disc, classes=10),  # pyright: ignore[reportArgumentType]
        data=dataclasses.replace(config.data, labels=True),
    )


config = conditional(cifar10_sngan.config, "cifar10_cgan_projection")
small = conditional(cifar10_sngan.small, "cifar10_cgan_projection_small")
presets = {
    "full": Preset(config, Logging(sample_every=2000, checkpoint_every=5000)),
    "small": Preset(small, Logging(sample_every=300, checkpoint_every=300, keep=6)),
}

if __name__ == "__main__":
    train.main(presets)
