"""Train two MLPs on 25 Gaussians on a grid, by the protocol of PacGAN (1712.04086).

Lin et al. 2018, sec. 4.1. The Gaussians have spacing 2 and sigma 0.05. Ten seeds at once take about
three minutes on two CPU cores, and each covers all 25 modes. The recipe needs no download.

    gan-jax train grid_mlp --seeds 0 1 2 3 4 5 6 7 8 9
    gan-jax train grid_mlp --score-every 500

Implementation details:

  1. The data are 100,000 points, and 2500 samples are scored, as in PacGAN. Networks, loss and
     schedules are those of `ring_mlp` with one more layer in each network, twice the steps, and
     larger penalties, since the density is wider.
  2. Samples between the modes are what is lost: the generator must be steep there. Depth achieves
     that, width does not. Two hidden layers in each network leave most points between the modes;
     five and four layers of 64 units do as well as four and three of 128, at less than half the
     cost.
  3. Two latent dimensions work better than four or eight, and plain ReLU better than leaky ReLU,
     SiLU or tanh, skip connections or layer norm.
  4. The fall of the penalties matters: a final value that is too high blurs the modes, one that is
     too low lets their shares drift.
  5. Learning rates that start at half the value or end lower, momentum, other decays of Adam's
     second moment, and a longer run did not help.
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
