"""Train two MLPs on eight Gaussians on a circle, by the protocol of PacGAN (1712.04086).

Lin et al. 2018, sec. 4.1. The circle has radius 1, the Gaussians have sigma 0.01: the toy problem
on which GANs lose modes. Ten seeds at once take about 75 seconds on two CPU cores, and each covers
all eight modes. The recipe needs no download.

    gan-jax train ring_mlp
    gan-jax train ring_mlp --seeds 0 1 2 3 4 5 6 7 8 9

Implementation details:

  1. The data are 100,000 points, and 2500 samples are scored, as in PacGAN. Networks and training
     are not PacGAN's: two MLPs and relativistic pairing with R1 and R2 (Huang et al. 2025,
     2501.05441).
  2. The penalties fall by a factor of thirty over the first 70 % of the steps, and the learning
     rates by a factor of twenty over all of them. Strong penalties first spread the generator over
     all modes, weak ones then allow sharp modes.
  3. With penalties that end at half the value, modes are as sharp but their shares drift. More such
     observations are in `grid_mlp`.
  4. Samples come from a moving average of the generator with a half-life of 10,000 images.
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
