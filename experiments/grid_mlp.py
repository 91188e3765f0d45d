"""Twenty-five Gaussians on a grid (spacing 2, sigma 0.05).

Data     100,000 points, as PacGAN has them (Lin et al. 2018, 1712.04086, sec. 4.1)
Command  python -m experiments.grid_mlp --seeds 0 1 2 3 4 5 6 7 8 9
Result   README.md, from experiments/results/grid_mlp.json

experiments/ring_mlp.py with one more layer each, twice as long, and with penalties for a density
that is wider.

What high quality needs is a generator that is steep between the modes, for the points on its way
from one to the next are what is lost. Depth gives it that, not width: two hidden layers in each
network leave most points between the modes, five and four of 64 units do as well as four and three
of 128 at less than half the cost. So do two latent dimensions rather than four or eight, plain ReLU
(not leaky, SiLU or tanh, with skips or layer norm), and the penalties' fall: too high an end blurs
the modes, too low a one lets their shares drift. Learning rates that start at half as much or end
lower, momentum, other decays of Adam's second moment and a longer run brought nothing.
"""

from gan_jax import train
from gan_jax.config import Logging, Optimizer, Penalties, PointData, Preset
from gan_jax.config.schedules import Schedule
from gan_jax.networks import mlp

from . import ring_mlp

gamma = Schedule(1.0, 0.02, 14_000, "cosine")
adam = Optimizer(lr=Schedule(2e-3, 1e-4, 20_000, "cosine"), b1=0.0, b2=0.99)

config = ring_mlp.config.replace(
    name="grid_mlp",
    gen=mlp.Generator(shape=(2,), widths=(64, 64, 64, 64, 64), out="linear"),
    disc=mlp.Discriminator(widths=(64, 64, 64, 64), activation="relu", last_bias=False),
    steps=20_000,
    data=PointData("grid"),
    penalties=Penalties(r1=gamma, r2=gamma),
    gen_opt=adam,
    disc_opt=adam,
)
presets = {
    "full": Preset(config, Logging(sample_every=2000, checkpoint_every=5000)),
}

if __name__ == "__main__":
    train.main(presets)
