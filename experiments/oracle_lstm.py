"""Train an LSTM on SeqGAN's synthetic data by likelihood (Yu et al. 2017, 1609.05473).

The data are 10,000 sequences of 20 out of 5000 tokens, sampled from an LSTM whose parameters are
from N(0, 1). `gan-jax evaluate RUN` reports `nll_oracle`, the cross-entropy of samples under the
true distribution, and `nll_gen`, which exposes a generator that has lost diversity. The recipe
needs no download and has no result on record.

    gan-jax train oracle_lstm --preset small
    gan-jax evaluate runs/oracle_lstm_small

Implementation details:

  1. As in the paper: an LSTM of 32 units with embeddings of 32, trained for 120 epochs in batches
     of 64 by Adam at 1e-2. Gradients are clipped to a norm of 5.
  2. Initial weights are Flax's: LeCun's normal distribution, and orthogonal recurrent kernels.
  3. The adversarial phase of SeqGAN (policy gradients) is not implemented.
  4. The small preset has 500 tokens and 5000 steps.
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
