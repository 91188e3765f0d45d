"""RelGAN on SeqGAN's synthetic data, with the settings of its authors' code (Nie et al. 2019).

Data     as experiments/oracle_lstm.py
Command  python -m experiments.oracle_relgan [--preset small]

150 epochs of likelihood, five batches a step, then 3000 steps of the game; inverse temperature from
1 to 2; the rest as in experiments/coco_relgan.py. The small version has 500 tokens.
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
