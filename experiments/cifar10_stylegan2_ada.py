"""Train an unconditional StyleGAN2-ADA on CIFAR-10 (Karras et al. 2020, 2006.06676).

The full recipe follows the authors' `cifar` configuration: 100 million images, for accelerators,
with no result on record. The small preset takes about 35 minutes on one CPU core.

    gan-jax train cifar10_stylegan2_ada --preset small --score-every 300
    gan-jax train cifar10_stylegan2_ada --seeds 0 1 2

The data set is `cifar10` as tensorflow-datasets prepares it, in `$TFDS_DATA_DIR`. The lossy copy
`--data.name cifar10_jpeg75` serves as a stand-in; scores on it are not comparable with published
ones.

Implementation details:

  1. As in the authors' code: non-saturating loss, R1 with gamma 0.01 every 16 updates, batches of
     64, a moving average with a half-life of 500,000 images but at most 0.05 of the images seen,
     neither path length regularization nor style mixing, two mapping layers, a discriminator
     without shortcuts ("orig") with minibatch standard deviation over groups of 32, and adaptive
     augmentation by blitting, geometry and color with target 0.6.
  2. Adam has the learning rate 2.5e-3, beta1 0 and beta2 0.99 for both players, rescaled by 16/17
     for the discriminator (lazy R1). The authors' code also rescales the generator's by 4/5,
     although its path length regularization is off: a learning rate of 2e-3 and a beta2 of 0.992.
     The generator's rate here is thus 25 % higher.
  3. A lazy penalty is an update of its own with rescaled Adam, as in StyleGAN2's code.
  4. The adaptive probability is clipped to [0, 1]. The authors' code only keeps it above 0.
  5. The augmentation's image is reflected without end. The authors' code is mid-gray beyond the
     first reflection.
  6. The mean w, used only for truncation, moves once per step and is averaged again by the moving
     average of the generator. In the authors' code it moves at every call of the mapping network.
  7. Groups of the minibatch standard deviation are of the whole batch; the authors' of one
     device's.
  8. Noise is always drawn, as part of z: an image is a function of z alone. To fix the noise, keep
     the tail of z.
  9. With bfloat16, activations are not clamped as the authors' float16 ones are.
  10. The small preset has an eighth to a sixteenth of the channels, latents of 128, R1 every 4
      updates, an augmentation that adapts twenty times as fast, and 1500 steps.
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
