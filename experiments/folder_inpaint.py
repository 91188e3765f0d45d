"""Repairs of your own pictures, from a folder of a few hundred or more of their kind.

Data     any folder of pictures, by --data.path; cropped square and resized to 64 pixels
Command  python -m experiments.folder_inpaint --data.path PICTURES [--preset small]
         gan-jax inpaint runs/folder_inpaint BROKEN --out REPAIRED --mask MASKS
Result   none on record: it depends on the pictures

As experiments/mnist_inpaint.py, in colour. The mean absolute difference to the truth, with weight
1, holds the generator to the colours around where there are few pictures to learn from. Holes of
every step are new, and so is what the critic sees. `--preset small` is for 32 pixels.
"""

import dataclasses

from gan_jax import train
from gan_jax.config import Config, ImageData, Logging, Masks, Objective, Preset, Prior
from gan_jax.networks import unet

from ._r3gan import with_schedules

WIDTHS, BLOCKS, CARDINALITY = (256, 192, 128, 96, 64), (2, 2, 2, 2, 2), (32, 24, 16, 12, 8)
config = with_schedules(
    Config(
        name="folder_inpaint",
        gen=unet.Generator(64, 3, WIDTHS, BLOCKS, CARDINALITY),
        disc=unet.Discriminator(64, WIDTHS, BLOCKS, CARDINALITY),
        steps=50_000,
        data=ImageData("folder", size=64, symmetric=True),
        masks=Masks(("box", "half", "strokes")),
        objective=Objective(reconstruction=1.0, loss="relativistic"),
        prior=Prior(dim=64),
        batch_size=64,
    ),
    steps=50_000,
    gammas=(2.0, 0.2),
    half_life=50_000.0,
)
fields = {"widths": (96, 64, 48), "blocks": (1,) * 3, "cardinality": (1,) * 3}
fields |= {"expansion": 1, "patch": 2}
small = with_schedules(
    config.replace(
        name="folder_inpaint_small",
        gen=unet.Generator(32, 3, **fields),
        disc=unet.Discriminator(32, **fields),
        steps=4000,
        data=dataclasses.replace(config.data, size=32),
        penalty_every=4,
        batch_size=32,
    ),
    steps=4000,
    gammas=(0.5, 0.05),
    half_life=5000.0,
)
presets = {
    "full": Preset(config, Logging(checkpoint_every=5000)),
    "small": Preset(small),
}

if __name__ == "__main__":
    train.main(presets)
