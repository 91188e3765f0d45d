r"""Train SpecGAN on spoken digits (Donahue, McAuley & Puckette 2019, 1802.04208).

A GAN of spectrograms, 128 frames of 128 frequencies, that 16 iterations of Griffin-Lim turn into
audio. The small preset takes about 55 minutes on two CPU cores; about 70 % of its class-conditional
samples are recognized as the requested digit.

    gan-jax train spoken_digit_specgan --preset small --data.labels \
        --gen.classes 10 --disc.classes 10
    gan-jax train spoken_digit_specgan

The data set is `spoken_digit` 1.0.9 (the Free Spoken Digit Dataset: five speakers, takes 5 to 49 of
each digit) as tensorflow-datasets prepares it, in `$TFDS_DATA_DIR`. Your own files: `--data.name
sounds --data.path FOLDER`.

Implementation details:

  1. Spectrograms and networks are those of sec. 3.2 and tables 5 and 6. Data, loss and optimizer
     are those of `spoken_digit_wavegan`, with the deviations listed there; there is no phase
     shuffle.
  2. The data set is not the paper's SC09.
  3. A spectrogram has 128 frames whatever the length: a frame starts every 128 samples for a length
     of 16384, as in the paper, and every 32 for 4096.
  4. The inverse transform is Griffin and Lim's least-squares one (1984, eq. 6). The authors' code
     adds windowed frames without normalization.
  5. Labels, which the paper does not use, join z as a one-hot vector; the discriminator has the
     projection of Miyato & Koyama 2018 (1802.05637) on its last features.
  6. The small preset has an eighth of the channels, and the objective of
     `spoken_digit_wavegan --preset small`.
"""

import dataclasses

from gan_jax import train
from gan_jax.config import Logging, Preset
from gan_jax.networks import specgan

from . import spoken_digit_wavegan as wavegan

config = wavegan.config.replace(
    name="spoken_digit_specgan",
    gen=specgan.Generator(width=64),
    disc=specgan.Discriminator(width=64, last_bias=False),
    data=dataclasses.replace(wavegan.config.data, spectrogram=True),
)
small = wavegan.small.replace(
    name="spoken_digit_specgan_small",
    gen=dataclasses.replace(config.gen, width=8),
    disc=dataclasses.replace(config.disc, width=8),
    data=dataclasses.replace(wavegan.small.data, spectrogram=True),
)
presets = {
    "full": Preset(config, Logging(sample_every=2000, checkpoint_every=2000)),
    "small": Preset(small),
}

if __name__ == "__main__":
    train.main(presets)
