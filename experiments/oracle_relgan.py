"""Train RelGAN on SeqGAN's synthetic data (Nie et al. 2019, ICLR).

The data are those of `oracle_lstm`. The recipe needs no download and has no result on record.

    gan-jax train oracle_relgan --preset small
    gan-jax evaluate runs/oracle_relgan_small

Implementation details:

  1. The likelihood phase has 150 epochs, five batches per step, the adversarial phase 3000 steps.
     Networks and optimizers are those of `coco_relgan`, with all deviations listed there.
  2. The inverse temperature rises exponentially from 1 to 2 over the 3000 adversarial steps. The
     authors' code sets N to 5000, so that it ends at 2^0.6 = 1.52.
  3. The small preset has 500 tokens, 1000 steps of likelihood, and 1000 adversarial steps.
"""

import dataclasses

from gan_jax import train
from gan_jax.config import Logging, Preset, TextData

from . import coco_relgan
from ._text import relgan_generator

data = TextData("oracle", tokens=20, vocabulary=5000)
config = coco_relgan.config.replace(
    name="oracle_relgan",
    gen=relgan_generator(data, head_size=256, beta_end=2.0, beta_steps=3000),
    steps=coco_relgan.pretrain.steps + 3000,
    data=data,
)
small_data = dataclasses.replace(data, vocabulary=500)
small = coco_relgan.small.replace(
    name="oracle_relgan_small",
    gen=relgan_generator(small_data, head_size=64, beta_end=2.0, beta_steps=1000),
    steps=2000,
    data=small_data,
    pretrain=dataclasses.replace(coco_relgan.pretrain, steps=1000),
)
presets = {
    "full": Preset(config, Logging(sample_every=200, checkpoint_every=200, keep=12)),
    "small": Preset(small, Logging(sample_every=100, checkpoint_every=100, keep=12)),
}

if __name__ == "__main__":
    train.main(presets)
