"""Twenty-five Gaussians on a grid (spacing 2, sigma 0.05).

Data     100,000 points, as PacGAN has them (Lin et al. 2018, 1712.04086, sec. 4.1)
Command  python -m experiments.grid_mlp
Result   README.md, from experiments/results/grid_mlp.json

experiments/ring_mlp.py with wider networks, and penalties for a density four times as wide.
"""

import dataclasses

from experiments import ring_mlp
from gan_jax import train
from gan_jax.config import Data, Penalties
from gan_jax.networks import mlp
from gan_jax.schedules import Schedule

gamma = Schedule(0.5, 0.005, 5000, "cosine")

config = dataclasses.replace(
    ring_mlp.config,
    name="grid_mlp",
    gen=mlp.Generator(shape=(2,), widths=(256, 256), out="linear"),
    disc=mlp.Discriminator(widths=(256, 256), last_bias=False),
    data=Data("grid"),
    penalties=Penalties(r1=gamma, r2=gamma),
)

if __name__ == "__main__":
    train.main(config)
