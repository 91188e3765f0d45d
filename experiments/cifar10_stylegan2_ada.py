"""StyleGAN2-ADA on CIFAR-10, unconditional (Karras et al. 2020, 2006.06676, its `cifar` config).

Data     cifar10 as tensorflow-datasets prepares it; --data.name cifar10_jpeg75 for the lossy one,
         whose scores are never comparable with published ones
Command  python -m experiments.cifar10_stylegan2_ada [--preset small]
Result   README.md, from experiments/results/cifar10_stylegan2_ada_small.json

The authors' hyper-parameters: non-saturating loss, R1 of gamma 0.01 every 16 steps, batches of 64,
Adam at 2.5e-3 with beta1 0 and beta2 0.99, a moving average with a half-life of 500,000 images but
at most 0.05 of those seen, neither path length regularisation nor style mixing, two mapping layers,
the plain discriminator with groups of 32, 100 million images. Augmentation by blitting, geometry
and colour, adaptive with target 0.6.

`--preset small` has an eighth to a sixteenth of the channels, R1 every 4 steps, and adapts twenty
times as fast.
"""

import dataclasses

from gan_jax import train
from gan_jax.config import (
    EMA,
    Augment,
    Config,
    ImageData,
    Logging,
    Objective,
    Optimizer,
    Penalties,
    Preset,
    Prior,
)
from gan_jax.networks import stylegan2

gen = stylegan2.Generator(size=32, mapping_layers=2)
adam = Optimizer(lr=2.5e-3, b1=0.0, b2=0.99)
config = Config(
    name="cifar10_stylegan2_ada",
    gen=gen,
    disc=stylegan2.Discriminator(size=32, architecture="orig", minibatch_std=32),
    steps=1_562_500,
    data=ImageData("cifar10", symmetric=True),
    objective=Objective(loss="non_saturating", penalties=Penalties(r1=0.01), penalty_every=16),
    gen_opt=adam,
    disc_opt=adam,
    prior=Prior(dim=gen.z_dim),
    ema=EMA(half_life=500_000.0, ramp=0.05),
    augment=Augment(blit=1.0, geometry=1.0, color=1.0, adaptive=True),
)
small_gen = dataclasses.replace(gen, channel_base=1024, channel_max=64, latent=128, w_dim=128)
small = config.replace(
    name="cifar10_stylegan2_ada_small",
    gen=small_gen,
    disc=stylegan2.Discriminator(
        size=32, channel_base=1024, channel_max=64, architecture="orig", minibatch_std=32
    ),
    steps=1500,
    z_dim=small_gen.z_dim,
    penalty_every=4,
    augment=dataclasses.replace(config.augment, adapt_images=25_000.0),
)
presets = {
    "full": Preset(config, Logging(sample_every=2000, checkpoint_every=5000)),
    "small": Preset(small, Logging(sample_every=300, checkpoint_every=300, keep=10)),
}

if __name__ == "__main__":
    train.main(presets)
