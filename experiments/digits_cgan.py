"""The article's G(cond, z): digits of a class that is asked for. Mirza & Osindero 2014 (1411.1784).

Data     as experiments/digits_mlp.py, with the class labels as cond, given to both players
Command  python -m experiments.digits_cgan
Result   README.md, from experiments/results/digits_cgan.json; column k of a sample grid is digit k

The label's one-hot vector joins z in the generator and the pixels in the discriminator.
"""

import dataclasses

from gan_jax import train
from gan_jax.config import Preset
from gan_jax.networks import mlp

from . import digits_mlp

config = digits_mlp.config.replace(
    name="digits_cgan",
    gen=mlp.Generator(classes=10),
    disc=mlp.Discriminator(classes=10),
    data=dataclasses.replace(digits_mlp.config.data, labels=True),
)
presets = {
    "full": Preset(config),
}

if __name__ == "__main__":
    train.main(presets)
