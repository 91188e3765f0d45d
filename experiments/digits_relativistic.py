"""Train conditional MLPs by relativistic pairing on the bundled digits (1807.00734).

Jolicoeur-Martineau 2018. The discriminator compares a real digit with a generated one of the same
class: D(x, y) = f(x, y) - f(x, G(x, z)), with the class as x. Column k of a sample grid is digit k.
The recipe needs no download and takes about two minutes for one seed on two CPU cores.

    gan-jax train digits_relativistic
    gan-jax train digits_relativistic --seeds 0 1 2

Implementation details:

  1. Data and networks are those of `digits_cgan`. The losses are E sp(-D) for the discriminator and
     E sp(D) for the generator (eq. 5, 6), sp being softplus.
  2. R1 and R2 with gamma 1 act on y alone, as in R3GAN (Huang et al. 2025, 2501.05441).
  3. D does not depend on terms of f that depend on x alone, nor on a bias of the last layer, which
     is left out: its gradient would be rounding noise.
  4. The generator's update reuses the real batch of the discriminator's update.
"""

from gan_jax import train
from gan_jax.config import Penalties, Preset
from gan_jax.networks import mlp

from . import digits_cgan

config = digits_cgan.config.replace(
    name="digits_relativistic",
    disc=mlp.Discriminator(classes=10, last_bias=False),
    loss="relativistic",
    penalties=Penalties(r1=1.0, r2=1.0),
)
presets = {
    "full": Preset(config),
}

if __name__ == "__main__":
    train.main(presets)
