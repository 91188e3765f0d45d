"""Train a U-Net with noise to inpaint your own images, from a folder of a few hundred.

The images are cropped to squares and resized to 64 pixels, in the small preset to 32. There is no
result on record: it depends on the images.

    gan-jax train folder_inpaint --data.path IMAGES --preset small
    gan-jax inpaint runs/folder_inpaint_small DAMAGED --out INPAINTED --mask MASKS

Implementation details:

  1. No paper has this recipe. Networks, pairing and penalties are those of `mnist_inpaint`, in
     color: a U-Net (Ronneberger et al. 2015, 1505.04597) of R3GAN's blocks, and relativistic
     pairing with R1 and R2 (Huang et al. 2025, 2501.05441).
  2. The mean absolute error to the true image has weight 1. It keeps the generator near the
     surrounding colors where there are few images to learn from.
  3. Masks are boxes, halves and free-form strokes, sampled anew for every example and step, so the
     discriminator's inputs always differ.
  4. gamma falls from 2 to 0.2, the paper's values for faces of 64 pixels.
  5. The small preset has fewer channels, one block per stage, convolutions that are not grouped,
     squares of 2x2 pixels folded into channels, penalties every fourth update, and a gamma that
     falls from 0.5 to 0.05.
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
