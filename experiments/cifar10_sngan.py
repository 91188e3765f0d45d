"""SNGAN on CIFAR-10, unconditional (Miyato et al. 2018, 1802.05957, appendix B.4).

Data     cifar10 as tensorflow-datasets prepares it; --data.name cifar10_jpeg75 for the lossy one,
         whose scores are never comparable with published ones
Command  python -m experiments.cifar10_sngan [--preset small]
Result   README.md, from experiments/results/cifar10_sngan_small.json

The authors' hyper-parameters: hinge loss, five critic updates a step, batches of 64, Adam with
beta1 0 and beta2 0.9 at 2e-4 that falls to 0 over 50,000 steps, 256 channels in the generator and
128 in the critic, z of 128.

Deviation. The generator's batches are as large as the critic's, theirs twice that. A moving average
of the generator is sampled from, which changes nothing in the training. `--preset small` has a
quarter of the channels and two critic updates a step, and no fall.
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
from gan_jax.config.schedules import Schedule
from gan_jax.networks import sngan

adam = Optimizer(lr=Schedule(2e-4, 0.0, 50_000), b1=0.0, b2=0.9)
config = Config(
    name="cifar10_sngan",
    gen=sngan.Generator(size=32, width=256),
    disc=sngan.Discriminator(size=32, width=128),
    steps=50_000,
    data=ImageData("cifar10", symmetric=True),
    objective=Objective(loss="hinge"),
    gen_opt=adam,
    disc_opt=adam,
    n_critic=5,
    prior=Prior(dim=128),
    ema=EMA(half_life=20_000.0),
)
flat = dataclasses.replace(adam, lr=2e-4)
small = config.replace(
    name="cifar10_sngan_small",
    gen=dataclasses.replace(config.gen, width=64),
    disc=dataclasses.replace(config.disc, width=32),
    steps=1500,
    gen_opt=flat,
    disc_opt=flat,
    n_critic=2,
    ema_half_life=5000.0,
)
presets = {
    "full": Preset(config, Logging(sample_every=2000, checkpoint_every=5000)),
    "small": Preset(small, Logging(sample_every=300, checkpoint_every=300, keep=6)),
}

if __name__ == "__main__":
    train.main(presets)
