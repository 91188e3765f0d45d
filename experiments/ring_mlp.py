"""Eight Gaussians on a circle (sigma 0.01, radius 1), the toy on which GANs lose modes.

Data     100,000 points, as PacGAN has them (Lin et al. 2018, 1712.04086, sec. 4.1)
Command  python -m experiments.ring_mlp
Result   README.md, from experiments/results/ring_mlp.json

Two MLPs and the relativistic pairing with R1 and R2 (2501.05441). The penalties fall by a factor of
thirty over the first 70 %, and the learning rates by twenty over the whole: strong ones first
spread the generator over all the modes, weak ones then let it draw them sharp. What else was found
to matter is in experiments/grid_mlp.py; with penalties that end at half as much the modes are as
sharp, but their shares drift.
"""

from gan_jax import train
from gan_jax.config import (
    EMA,
    Config,
    Logging,
    Objective,
    Optimizer,
    Penalties,
    PointData,
    Preset,
    Prior,
)
from gan_jax.config.schedules import Schedule
from gan_jax.networks import mlp

gamma = Schedule(0.06, 0.002, 7000, "cosine")
adam = Optimizer(lr=Schedule(2e-3, 1e-4, 10_000, "cosine"), b1=0.0, b2=0.99)

config = Config(
    name="ring_mlp",
    gen=mlp.Generator(shape=(2,), widths=(64, 64, 64, 64), out="linear"),
    disc=mlp.Discriminator(widths=(64, 64, 64), activation="relu", last_bias=False),
    steps=10_000,
    data=PointData("ring"),
    objective=Objective(loss="relativistic", penalties=Penalties(r1=gamma, r2=gamma)),
    gen_opt=adam,
    disc_opt=adam,
    prior=Prior(dim=2),
    ema=EMA(half_life=10_000.0),
    batch_size=128,
)
presets = {
    "full": Preset(config, Logging(sample_every=2000, checkpoint_every=5000)),
}

if __name__ == "__main__":
    train.main(presets)
