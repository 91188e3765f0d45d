"""What RelGAN is to be compared with: an LSTM on the same captions, by likelihood alone.

Data     as experiments/coco_relgan.py
Command  python -m experiments.coco_lstm --data.path FILE --data.test-path FILE [--preset small]
Result   README.md, from experiments/results/coco_lstm_small.json and coco_relgan_small_study.json

An LSTM as wide as RelGAN's memory, 150 epochs in batches of 64 by Adam at 1e-3. The critic is never
played with, and as small as one can be. `gan-jax evaluate RUN` has its scores over
temperatures: at a lower one it gives diversity for quality, as GANs do (1811.02549).
"""

from gan_jax import train
from gan_jax.config import Logging, Preset, TextData

from ._text import lstm_by_likelihood

config = lstm_by_likelihood(
    "coco_lstm",
    TextData("lines", tokens=37, vocabulary=4637),
    hidden=512,
    steps=150 * 156,
    lr=1e-3,
)
small = lstm_by_likelihood(
    "coco_lstm_small",
    TextData("lines", tokens=20, vocabulary=4637),
    hidden=128,
    steps=2500,
    lr=1e-3,
)
presets = {
    "full": Preset(config),
    "small": Preset(small, Logging(sample_every=250, checkpoint_every=250)),
}

if __name__ == "__main__":
    train.main(presets)
