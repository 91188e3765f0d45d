"""R3GAN on Stacked MNIST (Huang et al. 2025, 2501.05441): 1000 modes, no tricks.

Data     128,000 pictures stacked from MNIST, fixed (gan_jax/data/sources.py)
Command  python -m experiments.stacked_mnist_r3gan [--preset small] --seeds 0 1 2
Result   README.md, from experiments/results/stacked_mnist_r3gan_small.json

Relativistic pairing with R1 and R2 at every step, batches of 512, ten million images; over the
first fifth of them, by cosines, rates fall from 2e-4 to 5e-5 and gamma from 1 to 0.1, beta2 rises
from 0.9 to 0.99 and the half-life of the moving average from 0 to half a million images. The paper
reports 1000 modes and a KL of 0.029; PacGAN's anchor is 1000 and 0.06.

Deviations. The paper does not say how long the schedules are here. Its pictures go through four
stages of 768 channels; here they keep their 28 pixels, in three stages. A step's two players see
the same real batch. `--preset small` has few channels, a block a stage, smaller batches, and
schedules as long as the run; its 3x3 convolutions are not grouped, which CPUs compute quicker at
such widths. In its few steps it has to learn fast, so its rates are five times the paper's.
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
