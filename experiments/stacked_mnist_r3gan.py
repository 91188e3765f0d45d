"""Train R3GAN on Stacked MNIST: 1000 modes (Huang et al. 2025, 2501.05441).

The paper reports 1000 modes and a KL of 0.029. The full recipe is meant for an accelerator and has
no result on record. The small preset takes about 70 minutes on one CPU core and covers more than
900 modes.

    gan-jax train stacked_mnist_r3gan --preset small --score-every 1000
    gan-jax train stacked_mnist_r3gan --seeds 0 1 2

The data are 128,000 images, each stacked from three MNIST digits: a fixed set with 1000 equally
likely modes, made from `mnist` in `$TFDS_DATA_DIR`.

Implementation details:

  1. As in the paper: relativistic pairing with R1 and R2 at every step, batches of 512, ten million
     images. Learning rates fall from 2e-4 to 5e-5 and gamma from 1 to 0.1; beta2 rises from 0.9 to
     0.99, and the half-life of the moving average from 0 to 500,000 images, all by cosines.
  2. The schedules last for the first fifth of the run. The paper does not state their length for
     this data set, and the authors' repository has no configuration for it.
  3. The paper's images pass four stages of 768 channels. Here they keep their 28 pixels, in three
     stages of 768.
  4. The generator's update reuses the real batch of the discriminator's update. The authors' code
     draws a new one.
  5. Convolutions, initial weights and resampling are those of `cifar10_r3gan`.
  6. The small preset has few channels, one block per stage, 3x3 convolutions that are not grouped
     (faster on CPUs at such widths), batches of 64, schedules as long as the run, a half-life of
     10,000 images, and five times the paper's learning rates, since it has few steps.
"""

from gan_jax import train
from gan_jax.config import Config, ImageData, Logging, Objective, Preset, Prior
from gan_jax.networks import r3gan

from ._r3gan import with_schedules

WIDTHS, CARDINALITY = (768, 768, 768), (96, 96, 96)
config = with_schedules(
    Config(
        name="stacked_mnist_r3gan",
        gen=r3gan.Generator(size=28, widths=WIDTHS, cardinality=CARDINALITY, blocks=(2, 2, 2)),
        disc=r3gan.Discriminator(size=28, widths=WIDTHS, cardinality=CARDINALITY, blocks=(2, 2, 2)),
        steps=19_531,
        data=ImageData("stacked_mnist", symmetric=True),
        objective=Objective(loss="relativistic"),
        prior=Prior(dim=64),
        batch_size=512,
    ),
    steps=3906,
    gammas=(1.0, 0.1),
    half_life=500_000.0,
)
fields = {"widths": (64, 48, 16), "cardinality": (1, 1, 1), "blocks": (1, 1, 1), "expansion": 1}
small = with_schedules(
    config.replace(
        name="stacked_mnist_r3gan_small",
        gen=r3gan.Generator(size=28, **fields),
        disc=r3gan.Discriminator(size=28, **fields),
        steps=6000,
        batch_size=64,
    ),
    steps=6000,
    gammas=(1.0, 0.1),
    half_life=10_000.0,
    rates=(1e-3, 1e-4),
)
presets = {
    "full": Preset(config),
    "small": Preset(small, Logging(keep=12)),
}

if __name__ == "__main__":
    train.main(presets)
