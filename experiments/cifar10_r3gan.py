"""R3GAN on CIFAR-10, class-conditional (Huang et al. 2025, 2501.05441).

Data     cifar10 as tensorflow-datasets prepares it; --data.name cifar10_jpeg75 for the lossy one,
         whose scores are never comparable with published ones
Command  python -m experiments.cifar10_r3gan [--preset small]
Result   README.md, from experiments/results/cifar10_r3gan_small.json

The authors' hyper-parameters: relativistic pairing, R1 and R2 at every step, batches of 512, 250
million images; over the first twenty million, by cosines, rates fall from 2e-4 to 5e-5 and gamma
from 0.05 to 0.005, beta2 rises from 0.9 to 0.99, the half-life of the moving average from 0 to five
million images and the probability of augmentations from 0 to 0.55. Four stages of 768 channels.

Deviation. A step's two players see the same real batch, theirs draw one each. `--preset small`,
which is unconditional so that it can stand beside the other small ones, has fewer channels and a
block a stage, 3x3 convolutions that are not grouped (which CPUs compute quicker), batches of 64,
schedules that end with it, and no augmentation. In its few steps it has to learn fast: its rates
are five times the paper's, at which it was still at gratings of bright spots.
"""

import dataclasses

from gan_jax import train
from gan_jax.config import Augment, Config, ImageData, Logging, Objective, Preset, Prior
from gan_jax.config.schedules import Schedule
from gan_jax.networks import r3gan

from ._r3gan import SMALL_32, with_schedules

p = Schedule(0.0, 0.55, 39_062, "cosine")
config = with_schedules(
    Config(
        name="cifar10_r3gan",
        gen=r3gan.Generator(size=32, classes=10),
        disc=r3gan.Discriminator(size=32, classes=10),
        steps=488_281,
        data=ImageData("cifar10", labels=True, symmetric=True),
        objective=Objective(loss="relativistic"),
        prior=Prior(dim=64),
        batch_size=512,
        augment=Augment(blit=1.0, geometry=1.0, color=0.5, cutout=1.0, p=p),
    ),
    steps=39_062,
    gammas=(0.05, 0.005),
    half_life=5_000_000.0,
)
small = with_schedules(
    config.replace(
        name="cifar10_r3gan_small",
        gen=r3gan.Generator(**SMALL_32),
        disc=r3gan.Discriminator(**SMALL_32),
        steps=2500,
        data=dataclasses.replace(config.data, labels=False),
        batch_size=64,
        augment=Augment(),
    ),
    steps=2500,
    gammas=(0.05, 0.005),
    half_life=10_000.0,
    rates=(1e-3, 1e-4),
)
presets = {
    "full": Preset(config, Logging(sample_every=2000, checkpoint_every=5000)),
    "small": Preset(small, Logging(sample_every=500, checkpoint_every=500, keep=10)),
}

if __name__ == "__main__":
    train.main(presets)
