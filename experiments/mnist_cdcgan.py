"""Train a class-conditional DCGAN on MNIST by relativistic pairing (1807.00734).

DCGAN's networks (Radford, Metz & Chintala 2016, 1511.06434), Jolicoeur-Martineau's pairing. The
discriminator compares a digit with a sample of the same label: D(x, y) = f(x, y) - f(x, G(x, z)).
The small preset takes about 45 minutes on one CPU core. A classifier trained on its samples alone
reaches about 98 % accuracy on MNIST's test digits; `--cas` measures this.

    gan-jax train mnist_cdcgan --preset small
    gan-jax evaluate runs/mnist_cdcgan_small --cas
    gan-jax synthesize runs/mnist_cdcgan_small --per-class 1000 --out synthetic_digits

The data set is `mnist` as tensorflow-datasets prepares it, in `$TFDS_DATA_DIR`.

Implementation details:

  1. Both networks are given the label: a one-hot vector joins z, and planes of ones join the image
     (Mirza & Osindero 2014, 1411.1784).
  2. R1 and R2 act on the images alone, as in R3GAN (Huang et al. 2025, 2501.05441). Therefore the
     discriminator has no batch norm, which DCGAN's has: gradients of single examples must not
     depend on the batch.
  3. Learning rates fall from 5e-4 to 5e-5 and gamma from 0.5 to 0.1, by cosines over the run. Adam
     has beta1 0 and beta2 0.99.
  4. Samples come from a moving average of the generator, with a half-life of 20,000 images but at
     most 0.05 of the images seen. It averages the running statistics of batch norm too, which do
     not fit the averaged weights early in a run.
  5. Fakes have the labels of the real batch, and the generator's update reuses the real batch of
     the discriminator's. Samples and scores use the labels 0, 1, ..., 9 in turn.
  6. Kernels are 4x4, and images of 28 pixels have two stages; see `mnist_dcgan`.
  7. The small preset has half of the channels and 16,000 steps.
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
    Penalties,
    Preset,
    Prior,
)
from gan_jax.config.schedules import Schedule
from gan_jax.networks import dcgan


def with_schedules(config: Config) -> Config:
    """Return `config` with schedules as long as its steps."""
    gamma = Schedule(0.5, 0.1, config.steps, "cosine")
    adam = Optimizer(lr=Schedule(5e-4, 5e-5, config.steps, "cosine"), b1=0.0, b2=0.99)
    penalties = Penalties(r1=gamma, r2=gamma)
    return config.replace(penalties=penalties, gen_opt=adam, disc_opt=adam)


unscheduled = Config(
    name="mnist_cdcgan",
    gen=dcgan.Generator(size=28, channels=1, width=64, classes=10),
    disc=dcgan.Discriminator(size=28, width=64, classes=10, norm="none", last_bias=False),
    steps=30_000,
    data=ImageData("mnist", labels=True, symmetric=True),
    objective=Objective(loss="relativistic"),
    prior=Prior(dim=64),
    ema=EMA(half_life=20_000.0, ramp=0.05),
    batch_size=64,
)
config = with_schedules(unscheduled)
small = with_schedules(
    dataclasses.replace(
        unscheduled,
        name="mnist_cdcgan_small",
        gen=dataclasses.replace(unscheduled.gen, width=32),
        disc=dataclasses.replace(unscheduled.disc, width=32),
        steps=16_000,
    )
)
presets = {
    "full": Preset(config, Logging(checkpoint_every=2000)),
    "small": Preset(small, Logging(checkpoint_every=2000)),
}

if __name__ == "__main__":
    train.main(presets)
