"""DCGAN on Stacked MNIST: three digits in the three channels, 1000 equally likely modes.

Data     128,000 pictures stacked from MNIST, fixed (gan_jax/data/sources.py)
Command  python -m experiments.stacked_mnist_dcgan [--preset small] --seeds 0 1 2
Result   README.md, from experiments/results/stacked_mnist_dcgan_small.json

The protocol of VEEGAN and PacGAN (Lin et al. 2018, 1712.04086, sec. 4.2): z of 100, Adam at 2e-4
with beta1 0.5, batches of 64, 50 epochs; scored on 26,000 samples. Their own run of DCGAN covers
78.9 modes, the original table 99. Deviation: the networks are gan_jax/networks/dcgan.py's at 28
pixels, not VEEGAN's.
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
