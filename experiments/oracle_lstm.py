"""SeqGAN's synthetic data and its generator, by likelihood alone (Yu et al. 2017, 1609.05473).

Data     10,000 sequences of 20 of 5000 tokens from an LSTM with parameters from N(0, 1)
Command  python -m experiments.oracle_lstm [--preset small]

An LSTM of 32 with embeddings of 32, 120 epochs in batches of 64 by Adam at 1e-2.
`gan-jax evaluate RUN` has nll_oracle, the entropy that samples have under the true law,
beside nll_gen, by which a generator that lost diversity is found out.

Deviation: the small version has 500 tokens.
"""

from gan_jax import train
from gan_jax.config import Logging, Preset, TextData

from ._text import lstm_by_likelihood

config = lstm_by_likelihood(
    "oracle_lstm",
    TextData("oracle", tokens=20, vocabulary=5000),
    hidden=32,
    steps=120 * 156,
    lr=1e-2,
)
small = lstm_by_likelihood(
    "oracle_lstm_small",
    TextData("oracle", tokens=20, vocabulary=500),
    hidden=32,
    steps=5000,
    lr=1e-2,
)
presets = {
    "full": Preset(config, Logging(sample_every=2000)),
    "small": Preset(small, Logging(sample_every=2000)),
}

if __name__ == "__main__":
    train.main(presets)
