"""Train a class-conditional SNGAN with projection on CIFAR-10 (1802.05637).

Miyato & Koyama 2018. The networks are those of `cifar10_sngan`, conditioned on the ten classes. The
full recipe is meant for an accelerator and has no result on record. The small preset takes about
the time of `cifar10_sngan --preset small`, half an hour on one CPU core.

    gan-jax train cifar10_cgan_projection --preset small --score-every 300
    gan-jax train cifar10_cgan_projection --seeds 0 1 2

The data set is `cifar10` as tensorflow-datasets prepares it, in `$TFDS_DATA_DIR`. The lossy copy
`--data.name cifar10_jpeg75` serves as a stand-in; scores on it are not comparable with published
ones.

Implementation details:

  1. The generator's batch norms have a scale and an offset per class, and the discriminator adds
     the projection <embed(y), phi(x)> to its logit (fig. 1d), as in the authors' code for CIFAR-10.
  2. Fakes have the labels of the real batch, in the updates of both players. The authors' code
     samples labels independently for both. CIFAR-10 is balanced, so the distribution is the same,
     but the variance is not.
  3. Samples and scores use the labels 0, 1, ..., 9 in turn, not the labels' distribution in the
     data.
  4. All differences of `cifar10_sngan` apply: no dequantization, generator batches as large as the
     discriminator's, a moving average, initial weights divided by their spectral norm, and 1e-5 in
     batch norm.
  5. The small preset has a quarter of the channels, two discriminator updates per step, constant
     learning rates, and 1500 steps.
"""

import dataclasses

from gan_jax import train
from gan_jax.config import Config, Logging, Preset

from . import cifar10_sngan


def conditional(config: Config, name: str) -> Config:
    """Return `config` conditioned on the ten classes."""
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
