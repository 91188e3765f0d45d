"""Train PacGAN on Stacked MNIST (Lin et al. 2018, 1712.04086).

The recipe is `stacked_mnist_dcgan` with a discriminator of pairs. In the paper, packs of two cover
all 1000 modes with a KL of 0.06. Here, in one seed, they do not improve on the baseline.

    gan-jax train stacked_mnist_pacgan --preset small --score-every 1000
    gan-jax train stacked_mnist_pacgan --batch-size 128 --seeds 0 1 2

The data are 128,000 images, each stacked from three MNIST digits: a fixed set with 1000 equally
likely modes, made from `mnist` in `$TFDS_DATA_DIR`.

Implementation details:

  1. The discriminator's input is two examples, joined along the channels, both real or both
     generated (sec. 3).
  2. A batch has 64 examples, so the discriminator has 32 packs and the generator makes 64 images. A
     batch of the authors' code has 64 packs, that is 128 images; `--batch-size 128` matches it.
  3. As in `stacked_mnist_dcgan`, one generator update follows each discriminator update, not two,
     and networks and digits differ.
  4. Differences 2 and 3 both favor the discriminator, so this is not a replication of the paper's
     result.
"""

from gan_jax import train
from gan_jax.config import Config, Logging, Preset
from gan_jax.networks.pacgan import PacGAN

from . import stacked_mnist_dcgan


def packed(config: Config, name: str) -> Config:
    """Return `config` with a discriminator of packs of two."""
    return config.replace(name=name, disc=PacGAN(config.disc, pac_size=2))


config = packed(stacked_mnist_dcgan.config, "stacked_mnist_pacgan")
small = packed(stacked_mnist_dcgan.small, "stacked_mnist_pacgan_small")
presets = {
    "full": Preset(config, Logging(sample_every=2000, checkpoint_every=5000)),
    "small": Preset(small, Logging(sample_every=2000, checkpoint_every=2000)),
}

if __name__ == "__main__":
    train.main(presets)
