"""What RelGAN is to be compared with: an LSTM on the same captions, by likelihood alone.

Data     as experiments/coco_relgan.py
Command  python -m experiments.coco_lstm --data.path FILE --data.test-path FILE [--preset small]
Result   README.md, from experiments/results/coco_lstm_small.json and coco_relgan_small_study.json

An LSTM as wide as RelGAN's memory, 150 epochs in batches of 64 by Adam at 1e-3. The critic is never
played with, and as small as one can be. `gan-jax evaluate RUN` has its scores over
temperatures: at a lower one it gives diversity for quality, as GANs do (1811.02549).
"""

import dataclasses

from gan_jax import train
from gan_jax.config import Config, Data, Optimizer, Pretrain
from gan_jax.networks import lstm, relgan, sequence

adam = Optimizer(lr=1e-3, b1=0.9)
steps = 150 * 156
config = Config(
    name="coco_lstm",
    gen=sequence.Generator(lstm.Cell(512), length=37, vocabulary=4637, embedding=32),
    disc=relgan.Discriminator(embedding=1, representations=1, filters=1, sizes=(2,), hidden=1),
    steps=steps,
    data=Data("lines", tokens=37, vocabulary=4637),
    loss="relativistic",
    gen_opt=adam,
    pretrain=Pretrain(steps, adam, clip=5.0),
    z_dim=2,
    latent="key",
    batch_size=64,
    sample_every=1000,
    checkpoint_every=1000,
)
small = dataclasses.replace(
    config,
    name="coco_lstm_small",
    gen=sequence.Generator(lstm.Cell(128), length=20, vocabulary=4637, embedding=32),
    steps=2500,
    data=Data("lines", tokens=20, vocabulary=4637),
    pretrain=Pretrain(2500, adam, clip=5.0),
    sample_every=250,
    checkpoint_every=250,
)

if __name__ == "__main__":
    train.main(config, small)
