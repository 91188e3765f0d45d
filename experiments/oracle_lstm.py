"""SeqGAN's synthetic data and its generator, by likelihood alone (Yu et al. 2017, 1609.05473).

Data     10,000 sequences of 20 of 5000 tokens from an LSTM with parameters from N(0, 1)
Command  python -m experiments.oracle_lstm [--preset small]

An LSTM of 32 with embeddings of 32, 120 epochs in batches of 64 by Adam at 1e-2.
`gan-jax evaluate RUN` has nll_oracle, the entropy that samples have under the true law,
beside nll_gen, by which a generator that lost diversity is found out.

Deviation: the small version has 500 tokens.
"""

import dataclasses

from gan_jax import train
from gan_jax.config import Config, Data, Optimizer, Pretrain
from gan_jax.networks import lstm, relgan, sequence

adam = Optimizer(lr=1e-2, b1=0.9)
config = Config(
    name="oracle_lstm",
    gen=sequence.Generator(lstm.Cell(32), length=20, vocabulary=5000, embedding=32),
    disc=relgan.Discriminator(embedding=1, representations=1, filters=1, sizes=(2,), hidden=1),
    steps=120 * 156,
    data=Data("oracle", tokens=20, vocabulary=5000),
    loss="relativistic",
    gen_opt=adam,
    pretrain=Pretrain(120 * 156, adam, clip=5.0),
    z_dim=2,
    latent="key",
    sample_every=2000,
    checkpoint_every=1000,
)
small = dataclasses.replace(
    config,
    name="oracle_lstm_small",
    gen=sequence.Generator(lstm.Cell(32), length=20, vocabulary=500, embedding=32),
    steps=5000,
    data=Data("oracle", tokens=20, vocabulary=500),
    pretrain=Pretrain(5000, adam, clip=5.0),
)

if __name__ == "__main__":
    train.main(config, small)
