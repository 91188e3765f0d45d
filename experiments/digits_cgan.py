"""Train class-conditional MLPs on the bundled digits (Mirza & Osindero 2014, 1411.1784).

The generator is given the class of the digit to generate; column k of a sample grid is digit k. The
recipe needs no download and takes about two minutes for one seed on two CPU cores.

    gan-jax train digits_cgan
    gan-jax train digits_cgan --seeds 0 1 2
    gan-jax sample runs/digits_cgan --num-samples 100 --out grid.png

Implementation details:

  1. Data, networks and training are those of `digits_mlp`. The label's one-hot vector joins z in
     the generator and the pixels in the discriminator, each at the input.
  2. Fakes have the labels of the real batch. Samples and scores use the labels 0, 1, ..., 9 in
     turn.
  3. The paper's discriminator has maxout layers, and both of its networks have dropout. These have
     neither.
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
