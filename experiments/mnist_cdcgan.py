"""The article's conditional pair on MNIST: DCGAN's networks, D(x, y) = f(x, y) - f(x, G(x, z)).

Data     MNIST 3.0.1 as tensorflow-datasets prepares it (array_record), in $TFDS_DATA_DIR
Command  python -m experiments.mnist_cdcgan [--preset small] --seeds 0 1 2
Result   README.md, from experiments/results/mnist_cdcgan_small.json; `evaluate RUN --cas` is what a
         classifier learns from its samples

Both players get the label: as a one-hot vector beside z, and as planes of ones beside the picture
(Mirza & Osindero 2014, 1411.1784; networks of Radford, Metz & Chintala 2016, 1511.06434). The
critic compares a digit with a sample of the same label: relativistic pairing with R1 and R2 on the
pictures alone (Huang et al. 2025, 2501.05441), for which it has no batch norm. Rates and gammas
fall by cosines over the run; sampled from is a moving average of the generator. `--preset small`
has half of the channels and fewer steps.
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


def scheduled(config: Config) -> Config:
    """With the schedules over the config's own steps."""
    gamma = Schedule(0.5, 0.1, config.steps, "cosine")
    adam = Optimizer(lr=Schedule(5e-4, 5e-5, config.steps, "cosine"), b1=0.0, b2=0.99)
    penalties = Penalties(r1=gamma, r2=gamma)
    return config.replace(penalties=penalties, gen_opt=adam, disc_opt=adam)


whole = Config(
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
config = scheduled(whole)
small = scheduled(
    dataclasses.replace(
        whole,
        name="mnist_cdcgan_small",
        gen=dataclasses.replace(whole.gen, width=32),
        disc=dataclasses.replace(whole.disc, width=32),
        steps=16_000,
    )
)
presets = {
    "full": Preset(config, Logging(checkpoint_every=2000)),
    "small": Preset(small, Logging(checkpoint_every=2000)),
}

if __name__ == "__main__":
    train.main(presets)
