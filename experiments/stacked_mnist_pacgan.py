"""PacGAN on Stacked MNIST: experiments/stacked_mnist_dcgan.py whose critic sees two at a time.

Data     128,000 pictures stacked from MNIST, fixed (gan_jax/data/sources.py)
Command  python -m experiments.stacked_mnist_pacgan [--preset small] --seeds 0 1 2
Result   README.md, from experiments/results/stacked_mnist_pacgan_small.json

Lin et al. 2018 (1712.04086), sec. 4.2: packs of two cover all 1000 modes there, with a KL of 0.06.
"""

from gan_jax import train
from gan_jax.config import Config, Logging, Preset
from gan_jax.networks.pacgan import PacGAN

from . import stacked_mnist_dcgan


def packed(config: Config, name: str) -> Config:
    """The same, the critic judging packs of two."""
    return config.replace(name=name, disc=PacGAN(config.disc, pac_size=2))


config = packed(stacked_mnist_dcgan.config, "stacked_mnist_pacgan")
small = packed(stacked_mnist_dcgan.small, "stacked_mnist_pacgan_small")
presets = {
    "full": Preset(config, Logging(sample_every=2000, checkpoint_every=5000)),
    "small": Preset(small, Logging(sample_every=2000, checkpoint_every=2000)),
}

if __name__ == "__main__":
    train.main(presets)
