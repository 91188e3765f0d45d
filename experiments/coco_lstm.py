"""Train an LSTM on COCO captions by likelihood, the baseline of `coco_relgan`.

The discriminator is never used and is as small as possible. `gan-jax evaluate RUN` scores it over
temperatures: at a lower one it trades diversity for quality, as GANs do (Caccia et al. 2020,
1811.02549). The small preset takes about 9 minutes on two CPU cores.

    gan-jax train coco_lstm --data.path FILE --data.test-path FILE --preset small
    gan-jax evaluate runs/coco_lstm_small

Both files have one caption per line, like the image COCO files of Texygen (10,000 sentences each).
`python -m studies.text_study` compares the two recipes.

Implementation details:

  1. The LSTM is as wide as RelGAN's memory (512; 128 in the small preset), with embeddings of 32.
     It trains for 150 epochs in batches of 64 by Adam at 1e-3, with gradients clipped to a norm of
  2. The small preset trains for 2500 steps on sentences of at most 20 words.
  3. The likelihood is that of all positions, those after the end of a sentence too.
  4. Texts are split into words by a rule of this project, not by NLTK: 4637 words with the end and
     the unknown one, in sentences of at most 37.
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
