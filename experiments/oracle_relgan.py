"""RelGAN on SeqGAN's synthetic data, with the settings of its authors' code (Nie et al. 2019).

Data     as experiments/oracle_lstm.py
Command  python -m experiments.oracle_relgan [--preset small]

150 epochs of likelihood, five batches a step, then 3000 steps of the game; inverse temperature from
1 to 2; the rest as in experiments/coco_relgan.py. The small version has 500 tokens.
"""

import dataclasses

from experiments import coco_relgan
from gan_jax import train
from gan_jax.config import Data, Pretrain
from gan_jax.networks import relgan, sequence

config = dataclasses.replace(
    coco_relgan.config,
    name="oracle_relgan",
    gen=sequence.Generator(
        relgan.RelationalMemory(slots=1, heads=2, head_size=256),
        length=20,
        vocabulary=5000,
        embedding=32,
        beta_end=2.0,
        beta_steps=3000,
    ),
    steps=coco_relgan.before + 3000,
    data=Data("oracle", tokens=20, vocabulary=5000),
)
small = dataclasses.replace(
    coco_relgan.small,
    name="oracle_relgan_small",
    gen=sequence.Generator(
        relgan.RelationalMemory(slots=1, heads=2, head_size=64),
        length=20,
        vocabulary=500,
        embedding=32,
        beta_end=2.0,
        beta_steps=1000,
    ),
    steps=2000,
    data=Data("oracle", tokens=20, vocabulary=500),
    pretrain=Pretrain(1000, coco_relgan.first, clip=5.0),
)

if __name__ == "__main__":
    train.main(config, small)
