"""An LSTM that writes character by character, by likelihood alone.

Data     the help texts that every Python installation carries, in windows of 64 characters; or any
         text: --data.path FILE (tiny Shakespeare has 65 characters)
Command  python -m experiments.text_lstm [--data.path FILE]
Result   README.md, from experiments/results/text_lstm.json

Adam at 3e-3, batches of 64, about ten epochs.
"""

from gan_jax import train
from gan_jax.config import Logging, Preset, TextData

from ._text import lstm_by_likelihood

config = lstm_by_likelihood(
    "text_lstm",
    TextData("running_text", level="characters", tokens=64, vocabulary=128),
    hidden=256,
    steps=1500,
    lr=3e-3,
)
presets = {
    "full": Preset(config, Logging(sample_every=250, checkpoint_every=250)),
}

if __name__ == "__main__":
    train.main(presets)
