"""Train a character-level LSTM by likelihood on text that Python includes.

The text is that of the help pages that every Python installation contains, in windows of 64
characters, or any file: `--data.path FILE`. The recipe needs no download and takes about five
minutes for one seed on two CPU cores.

    gan-jax train text_lstm
    gan-jax train text_lstm --data.path FILE
    gan-jax sample runs/text_lstm --temperature 0.8 --out samples.txt

Implementation details:

  1. An LSTM of 256 units with embeddings of 32, trained by Adam at 3e-3 in batches of 64 for about
     ten epochs, with gradients clipped to a norm of 5. No paper has this recipe.
  2. A config needs a discriminator. It is the smallest possible and is never trained.
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
