"""R3GAN on a folder of your own pictures, a few hundred of them (Huang et al. 2025, 2501.05441).

Data     any folder of pictures, by --data.path; cropped square and resized to 64 pixels
Command  python -m experiments.folder_r3gan --data.path PICTURES [--preset small]
Result   README.md, from experiments/results/folder_r3gan_small.json

Few pictures are soon known by heart, so what the critic sees is altered: DiffAugment (Zhao et al.
2020, 2006.10738), colour, translation and cutout. gamma falls from 2 to 0.2, as the paper has it
for faces of 64 pixels. Other sizes: as many entries in gen.widths, cardinality and blocks as there
are doublings from 4 pixels, and one; double the side, quadruple gamma. `--preset small` is for 32
pixels, at five times the rates, for it has few steps to learn in.
"""

import dataclasses

from gan_jax import train
from gan_jax.config import Augment, Config, ImageData, Logging, Objective, Preset, Prior
from gan_jax.networks import r3gan

from ._r3gan import SMALL_32, with_schedules

WIDTHS, CARDINALITY, BLOCKS = (384, 384, 256, 192, 128), (48, 48, 32, 24, 16), (2, 2, 2, 2, 2)
config = with_schedules(
    Config(
        name="folder_r3gan",
        gen=r3gan.Generator(size=64, widths=WIDTHS, cardinality=CARDINALITY, blocks=BLOCKS),
        disc=r3gan.Discriminator(size=64, widths=WIDTHS, cardinality=CARDINALITY, blocks=BLOCKS),
        steps=50_000,
        data=ImageData("folder", size=64, symmetric=True),
        objective=Objective(loss="relativistic"),
        prior=Prior(dim=64),
        batch_size=64,
        augment=Augment(diffaugment=("color", "translation", "cutout")),
    ),
    steps=50_000,
    gammas=(2.0, 0.2),
    half_life=50_000.0,
)
small = with_schedules(
    config.replace(
        name="folder_r3gan_small",
        gen=r3gan.Generator(**SMALL_32),
        disc=r3gan.Discriminator(**SMALL_32),
        steps=4000,
        data=dataclasses.replace(config.data, size=32),
        batch_size=32,
    ),
    steps=4000,
    gammas=(0.1, 0.01),
    half_life=5000.0,
    rates=(1e-3, 1e-4),
)
presets = {
    "full": Preset(config, Logging(checkpoint_every=5000)),
    "small": Preset(small, Logging(sample_every=500)),
}

if __name__ == "__main__":
    train.main(presets)
