"""Train a DCGAN on Stacked MNIST, the baseline of PacGAN (Lin et al. 2018, 1712.04086).

The small preset takes about 3 minutes on two CPU cores and covers about 960 of 1000 modes; PacGAN's
own run of DCGAN covers 78.9, the original table has 99.

    gan-jax train stacked_mnist_dcgan --preset small --score-every 1000
    gan-jax train stacked_mnist_dcgan --seeds 0 1 2

The data are 128,000 images, each stacked from three MNIST digits: a fixed set with 1000 equally
likely modes, made from `mnist` in `$TFDS_DATA_DIR`.

Implementation details:

  1. After VEEGAN and PacGAN (sec. 4.2): z uniform on [-1, 1]^100, Adam at 2e-4 with beta1 0.5,
     batches of 64, 50 epochs; 26,000 samples are scored.
  2. The networks are DCGAN's at 28 pixels (see `mnist_dcgan`), not VEEGAN's.
  3. One generator update follows each discriminator update. The authors' code makes two, so that
     the discriminator does not get too far ahead, and there is no flag for that here.
  4. Digits are those of MNIST's training split. The authors' code draws from all 70,000.
  5. The small preset has a quarter of the channels and 10,000 steps.
"""

import dataclasses

from gan_jax import train
from gan_jax.config import Config, ImageData, Logging, Objective, Optimizer, Preset, Prior
from gan_jax.networks import dcgan

config = Config(
    name="stacked_mnist_dcgan",
    gen=dcgan.Generator(size=28, channels=3, width=64),
    disc=dcgan.Discriminator(size=28, width=64),
    steps=100_000,
    data=ImageData("stacked_mnist", symmetric=True),
    objective=Objective(loss="non_saturating"),
    gen_opt=Optimizer(lr=2e-4, b1=0.5),
    disc_opt=Optimizer(lr=2e-4, b1=0.5),
    prior=Prior(dim=100, distribution="uniform"),
    batch_size=64,
)
small = config.replace(
    name="stacked_mnist_dcgan_small",
    gen=dataclasses.replace(config.gen, width=16),
    disc=dataclasses.replace(config.disc, width=16),
    steps=10_000,
)
presets = {
    "full": Preset(config, Logging(sample_every=2000, checkpoint_every=5000)),
    "small": Preset(small, Logging(sample_every=2000, checkpoint_every=2000)),
}

if __name__ == "__main__":
    train.main(presets)
