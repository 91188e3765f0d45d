"""Train a class-conditional R3GAN on CIFAR-10 (Huang et al. 2025, 2501.05441).

The full recipe is the paper's: 250 million images, for accelerators, with no result on record. The
small preset is unconditional, so that it compares with the other small CIFAR-10 recipes, and takes
about 40 minutes on one CPU core. Expect scenes and bodies, seldom an object that can be named.

    gan-jax train cifar10_r3gan --preset small --score-every 500
    gan-jax train cifar10_r3gan --seeds 0 1 2

The data set is `cifar10` as tensorflow-datasets prepares it, in `$TFDS_DATA_DIR`. The lossy copy
`--data.name cifar10_jpeg75` serves as a stand-in; scores on it are not comparable with published
ones.

Implementation details:

  1. As in the paper: relativistic pairing with R1 and R2 at every step (sec. 3), batches of 512, z
     of 64, four stages of 768 channels without normalization layers. Over the first 20 million
     images, by cosines, the learning rate falls from 2e-4 to 5e-5 and gamma from 0.05 to 0.005;
     beta2 rises from 0.9 to 0.99, the half-life of the moving average from 0 to 5 million images,
     and the probability of augmentations from 0 to 0.55, with color at half and cutout at full
     strength.
  2. The 250 million images are taken from the paper. The authors' repository does not state them.
  3. The authors train with mirrored data (`--mirror=1`), which doubles the data set. Here the data
     are not mirrored; mirror images occur only in the augmentation before the discriminator.
     Neither the distribution of the data nor a Frechet distance to it is then the same.
  4. The discriminator compares features and labels in 64 dimensions (`disc.embedding`). The
     authors' code uses the width of the first stage, 768, and scales the initial embedding by
     1/sqrt(768). This discriminator has 547,712 parameters fewer, and its initial logits are about
     8 times larger than the authors' code gives with that scale.
  5. The generator's update reuses the real batch of the discriminator's update. The authors' code
     draws a new one.
  6. Fakes have the labels of the real batch, and R2 augments them with the random transformations
     of the real batch. Samples and scores use the labels 0, 1, ..., 9 in turn.
  7. All stages compute in `dtype`, float32 by default. The authors' code uses half precision in all
     stages but the smallest, and disables TF32. Here float32 products follow the default precision
     of JAX, which is TF32 on recent GPUs and bfloat16 on TPUs.
  8. Convolutions of 3x3 are grouped (96 groups), each kernel is scaled down initially by the number
     of blocks as in Fixup (Zhang et al. 2019, 1901.09321), and the last kernel of a block is zero,
     as in the authors' code. Resampling is their [1, 3, 3, 1] filter. The logit has no bias: a
     relativistic loss does not depend on it.
  9. The small preset has fewer channels, one block per stage, 3x3 convolutions that are not grouped
     (faster on CPUs), batches of 64, schedules as long as the run, a half-life of 10,000 images,
     and no augmentation. Its learning rates are five times the paper's, at which 2500 steps yield
     only gratings of bright spots.
"""

import dataclasses

from gan_jax import train
from gan_jax.config import Augment, Config, ImageData, Logging, Objective, Preset, Prior
from gan_jax.config.schedules import Schedule
from gan_jax.networks import r3gan

from ._r3gan import SMALL_32, with_schedules

p = Schedule(0.0, 0.55, 39_062, "cosine")
config = with_schedules(
    Config(
        name="cifar10_r3gan",
        gen=r3gan.Generator(size=32, classes=10),
        disc=r3gan.Discriminator(size=32, classes=10),
        steps=488_281,
        data=ImageData("cifar10", labels=True, symmetric=True),
        objective=Objective(loss="relativistic"),
        prior=Prior(dim=64),
        batch_size=512,
        augment=Augment(blit=1.0, geometry=1.0, color=0.5, cutout=1.0, p=p),
    ),
    steps=39_062,
    gammas=(0.05, 0.005),
    half_life=5_000_000.0,
)
small = with_schedules(
    config.replace(
        name="cifar10_r3gan_small",
        gen=r3gan.Generator(**SMALL_32),
        disc=r3gan.Discriminator(**SMALL_32),
        steps=2500,
        data=dataclasses.replace(config.data, labels=False),
        batch_size=64,
        augment=Augment(),
    ),
    steps=2500,
    gammas=(0.05, 0.005),
    half_life=10_000.0,
    rates=(1e-3, 1e-4),
)
presets = {
    "full": Preset(config, Logging(sample_every=2000, checkpoint_every=5000)),
    "small": Preset(small, Logging(sample_every=500, checkpoint_every=500, keep=10)),
}

if __name__ == "__main__":
    train.main(presets)
