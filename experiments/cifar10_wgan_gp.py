"""Train a class-conditional WGAN-GP on CIFAR-10 (Gulrajani et al. 2017, 1704.00028).

The full recipe is meant for an accelerator. Neither preset has a result on record.

    gan-jax train cifar10_wgan_gp --preset small --score-every 500
    gan-jax train cifar10_wgan_gp --seeds 0 1 2

The data set is `cifar10` as tensorflow-datasets prepares it, in `$TFDS_DATA_DIR`. The lossy copy
`--data.name cifar10_jpeg75` serves as a stand-in; scores on it are not comparable with published
ones.

Implementation details:

  1. As in the authors' code: five critic updates per step, gradient penalty 10 (eq. 3), batches of
     64, Adam with beta1 0 and beta2 0.9 at a learning rate that falls linearly from 2e-4 to 0 over
     100,000 steps, 128 channels, z of 128. Labels enter the generator by conditional batch norm and
     the critic by an auxiliary classifier, with weight 1 in the critic's loss and 0.1 in the
     generator's.
  2. The generator's batches are as large as the critic's. The authors' are twice as large.
  3. Pixels are not dequantized. The authors' code adds uniform noise of 1/128.
  4. Fakes have the labels of the real batch. The authors' code samples random labels in the
     generator's update. Samples and scores use the labels 0, 1, ..., 9 in turn.
  5. Samples use the running statistics of batch norm. The authors' code normalizes by the batch of
     samples. The effect on scores was not measured.
  6. The generator's blocks have no biases (batch norm cancels them), and the critic's logit has
     none: the Wasserstein loss does not depend on it.
  7. The 1x1 convolution of a shortcut runs on the smaller of its two images, which changes rounding
     only.
  8. The small preset has a quarter of the channels, 2000 steps, and a learning rate that falls to 0
     over them.
"""

import dataclasses

from gan_jax import train
from gan_jax.config import (
    Config,
    ImageData,
    Logging,
    Objective,
    Optimizer,
    Penalties,
    Preset,
    Prior,
)
from gan_jax.config.schedules import Schedule
from gan_jax.networks import wgan_gp

adam = Optimizer(lr=Schedule(2e-4, 0.0, 100_000), b1=0.0, b2=0.9)
config = Config(
    name="cifar10_wgan_gp",
    gen=wgan_gp.Generator(size=32, width=128, classes=10),
    disc=wgan_gp.Discriminator(size=32, width=128, classes=10, auxiliary=True),
    steps=100_000,
    data=ImageData("cifar10", labels=True, symmetric=True),
    objective=Objective(
        loss="wasserstein",
        penalties=Penalties(gradient_penalty=10.0),
        auxiliary_disc=1.0,
        auxiliary_gen=0.1,
    ),
    gen_opt=adam,
    disc_opt=adam,
    n_critic=5,
    prior=Prior(dim=128),
)
short = dataclasses.replace(adam, lr=Schedule(2e-4, 0.0, 2000))
small = config.replace(
    name="cifar10_wgan_gp_small",
    gen=dataclasses.replace(config.gen, width=32),
    disc=dataclasses.replace(config.disc, width=32),
    steps=2000,
    gen_opt=short,
    disc_opt=short,
)
presets = {
    "full": Preset(config, Logging(sample_every=2000, checkpoint_every=5000)),
    "small": Preset(small, Logging(sample_every=500, checkpoint_every=500)),
}

if __name__ == "__main__":
    train.main(presets)
