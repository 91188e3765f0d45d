"""The article's D(cond, y) = f(cond, y) - f(cond, G(cond, z)): conditional relativistic pairing.

Data     as experiments/digits_cgan.py
Command  python -m experiments.digits_relativistic
Result   README.md, from experiments/results/digits_relativistic.json; column k is digit k

The critic f sees the same cond on both sides; the losses are E sp(-D) for it and E sp(D) for the
generator (Jolicoeur-Martineau 2018, 1807.00734, eq. 5-6), with R1 and R2 on y alone, as R3GAN has
them (Huang et al. 2024, 2501.05441). D does not see what depends on cond alone, nor a bias of f's
last layer, which is left out.
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
