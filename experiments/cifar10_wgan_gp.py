"""WGAN-GP's residual networks on CIFAR-10, class-conditional (Gulrajani et al. 2017, 1704.00028).

Data     cifar10 as tensorflow-datasets prepares it; --data.name cifar10_jpeg75 for the lossy one,
         whose scores are never comparable with published ones
Command  python -m experiments.cifar10_wgan_gp [--preset small]

The authors' hyper-parameters: five critic updates a step, gradient penalty 10, batches of 64, Adam
with beta1 0 and beta2 0.9 at 2e-4 that falls to 0 over 100,000 steps, 128 channels; labels by
conditional batch norm in the generator and an auxiliary classifier in the critic, of weight 1 in
its loss and 0.1 in the generator's.

Deviations. The generator's batches are as large as the critic's, theirs twice that. Pixels are not
dequantised by noise of 1/128.
"""

import dataclasses

from gan_jax import train
from gan_jax.config import (
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
from gan_jax.networks import wgan_gp

adam = Optimizer(lr=Schedule(2e-4, 0.0, 100_000), b1=0.0, b2=0.9)
config = Config(
    name="cifar10_wgan_gp",
    gen=wgan_gp.Generator(size=32, width=128, classes=10),
    disc=wgan_gp.Discriminator(size=32, width=128, classes=10, auxiliary=True),
    steps=100_000,
    data=ImageData("cifar10", labels=True, symmetric=True),
    objective=Objective(
        loss="wasserstein",
        penalties=Penalties(gradient_penalty=10.0),
        auxiliary_disc=1.0,
        auxiliary_gen=0.1,
    ),
    gen_opt=adam,
    disc_opt=adam,
    n_critic=5,
    prior=Prior(dim=128),
)
short = dataclasses.replace(adam, lr=Schedule(2e-4, 0.0, 2000))
small = config.replace(
    name="cifar10_wgan_gp_small",
    gen=dataclasses.replace(config.gen, width=32),
    disc=dataclasses.replace(config.disc, width=32),
    steps=2000,
    gen_opt=short,
    disc_opt=short,
)
presets = {
    "full": Preset(config, Logging(sample_every=2000, checkpoint_every=5000)),
    "small": Preset(small, Logging(sample_every=500, checkpoint_every=500)),
}

if __name__ == "__main__":
    train.main(presets)
