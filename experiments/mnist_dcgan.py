"""DCGAN on MNIST (Radford, Metz & Chintala 2016, 1511.06434, sec. 4).

Data     MNIST 3.0.1 as tensorflow-datasets prepares it (array_record), in $TFDS_DATA_DIR
Command  python -m experiments.mnist_dcgan [--preset small] --seeds 0 1 2
Result   README.md, from experiments/results/mnist_dcgan_small.json

The paper's hyper-parameters: Adam at 2e-4 with beta1 0.5, batches of 128, z uniform on [-1, 1]^100,
pixels in [-1, 1]. A moving average of the generator, which the paper has not, is sampled from; it
changes nothing in the training. `--preset small` has a quarter of the channels and fewer steps.
"""

import dataclasses

from gan_jax import train
from gan_jax.config import (
    EMA,
    Config,
    ImageData,
    Logging,
    Objective,
    Optimizer,
    Preset,
    Prior,
)
from gan_jax.networks import dcgan

config = Config(
    name="mnist_dcgan",
    gen=dcgan.Generator(size=28, channels=1, width=64),
    disc=dcgan.Discriminator(size=28, width=64),
    steps=20_000,
    data=ImageData("mnist", symmetric=True),
    objective=Objective(loss="non_saturating"),
    gen_opt=Optimizer(lr=2e-4, b1=0.5),
    disc_opt=Optimizer(lr=2e-4, b1=0.5),
    prior=Prior(dim=100, distribution="uniform"),
    ema=EMA(half_life=20_000.0),
    batch_size=128,
)
small = config.replace(
    name="mnist_dcgan_small",
    gen=dataclasses.replace(config.gen, width=16),
    disc=dataclasses.replace(config.disc, width=16),
    steps=6000,
)
presets = {
    "full": Preset(config, Logging(checkpoint_every=2000)),
    "small": Preset(small, Logging(checkpoint_every=2000, keep=6)),
}

if __name__ == "__main__":
    train.main(presets)
