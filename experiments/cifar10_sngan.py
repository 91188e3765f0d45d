"""Train an unconditional SNGAN on CIFAR-10 (Miyato et al. 2018, 1802.05957).

The full recipe has the hyper-parameters of appendix B.4, for an accelerator, with no result on
record. The small preset takes about 35 minutes on one CPU core.

    gan-jax train cifar10_sngan --preset small --score-every 300
    gan-jax train cifar10_sngan --seeds 0 1 2
    gan-jax train cifar10_sngan --gen.attention 16 --gen.spectral --disc.attention 16

The last command adds the self-attention and the spectral norm in the generator of SAGAN (Zhang et
al. 2019, 1805.08318). The data set is `cifar10` as tensorflow-datasets prepares it, in
`$TFDS_DATA_DIR`. The lossy copy `--data.name cifar10_jpeg75` serves as a stand-in; scores on it are
not comparable with published ones.

Implementation details:

  1. As in the paper: hinge loss (eq. 16, 17), five discriminator updates per step, batches of 64,
     Adam with beta1 0 and beta2 0.9 at a learning rate that falls linearly from 2e-4 to 0 over
     50,000 steps, 256 channels in the generator and 128 in the discriminator (table 4), z of 128.
  2. The generator's batches are as large as the discriminator's. The authors' are twice as large.
  3. Pixels are scaled to [-1, 1] without dequantization. The authors' code computes x/128 - 1 and
     adds uniform noise on [0, 1/128].
  4. Samples come from a moving average of the generator with a half-life of 20,000 images, which
     the paper does not use. It does not affect training. It averages the running statistics of
     batch norm too, which do not fit the averaged weights early in a run: scores of the first
     checkpoints are worse than the generator is.
  5. Spectral norm is Flax's: one power iteration per training call, on the kernel as a matrix (alg.
     1). Flax stores the initial weights divided by their first estimate of the norm. The function
     is the same, but stored weights are 1.3 to 1.5 times smaller than the authors' in 10 of 11
     layers, and 1.4 times larger in the first. Adam's relative steps are thus about 1.45 times as
     large at the start.
  6. The generator's blocks have no biases: batch norm cancels them, and Adam would turn the
     rounding errors of their zero gradients into steps. The logit has no bias, as in the authors'
     code at 32 pixels. Batch norm adds 1e-5 to the variance, the authors' code 2e-5.
  7. The 1x1 convolution of a shortcut runs on the smaller of its two images. It commutes with
     repeating and averaging pixels, so only rounding differs.
  8. As SAGAN: in a block that halves the image, the hidden width is the input's, as in SNGAN.
     SAGAN's authors' code uses the output's.
  9. The small preset has a quarter of the channels, two discriminator updates per step, constant
     learning rates, a half-life of 5000 images, and 1500 steps.
"""

import dataclasses

from gan_jax import train
from gan_jax.config import (
    EMA,
    Config,
    ImageData,
    Logging,
    Objective,
    Optimizer,
    Preset,
    Prior,
)
from gan_jax.config.schedules import Schedule
from gan_jax.networks import sngan

adam = Optimizer(lr=Schedule(2e-4, 0.0, 50_000), b1=0.0, b2=0.9)
config = Config(
    name="cifar10_sngan",
    gen=sngan.Generator(size=32, width=256),
    disc=sngan.Discriminator(size=32, width=128),
    steps=50_000,
    data=ImageData("cifar10", symmetric=True),
    objective=Objective(loss="hinge"),
    gen_opt=adam,
    disc_opt=adam,
    n_critic=5,
    prior=Prior(dim=128),
    ema=EMA(half_life=20_000.0),
)
flat = dataclasses.replace(adam, lr=2e-4)
small = config.replace(
    name="cifar10_sngan_small",
    gen=dataclasses.replace(config.gen, width=64),
    disc=dataclasses.replace(config.disc, width=32),
    steps=1500,
    gen_opt=flat,
    disc_opt=flat,
    n_critic=2,
    ema_half_life=5000.0,
)
presets = {
    "full": Preset(config, Logging(sample_every=2000, checkpoint_every=5000)),
    "small": Preset(small, Logging(sample_every=300, checkpoint_every=300, keep=6)),
}

if __name__ == "__main__":
    train.main(presets)
