"""SpecGAN on spoken digits (Donahue, McAuley & Puckette 2019, 1802.04208, sec. 3.2).

Data     spoken_digit 1.0.9 (the Free Spoken Digit Dataset: five speakers, takes 5 to 49 of each
         digit) as tensorflow-datasets prepares it (array_record), in $TFDS_DATA_DIR
Command  python -m experiments.spoken_digit_specgan [--preset small]; class-conditional with
         --data.labels
         --gen.classes 10 --disc.classes 10; on your own files with --data.name sounds --data.path
Result   README.md, from experiments/results/spoken_digit_specgan_small.json

Spectrograms of 128 frames and 128 frequencies, heard by 16 iterations of Griffin-Lim. The authors'
hyper-parameters for their SC09, and sounds, are those of experiments/spoken_digit_wavegan.py, and
so are the smaller sounds and the game of `--preset small`, which has an eighth of the channels.
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
