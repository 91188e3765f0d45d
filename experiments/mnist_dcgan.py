"""Train a DCGAN on MNIST (Radford, Metz & Chintala 2016, 1511.06434).

The small preset takes about 25 minutes for three seeds on two CPU cores and generates digits that
are mostly legible.

    gan-jax train mnist_dcgan --preset small --seeds 0 1 2 --score-every 1000
    gan-jax train mnist_dcgan --seeds 0 1 2

The data set is `mnist` as tensorflow-datasets prepares it, in `$TFDS_DATA_DIR`. MNIST's own files
serve as well: `--data.name idx --data.path FOLDER`.

Implementation details:

  1. As in the paper (sec. 4): Adam at 2e-4 with beta1 0.5, batches of 128, z uniform on [-1,
     1]^100, pixels in [-1, 1], batch norm everywhere but at the generator's output and the
     discriminator's input, ReLU and leaky ReLU (0.2), weights from N(0, 0.02).
  2. The last hidden stage has 64 channels. The paper's has 128.
  3. Kernels are 4x4, as in the authors' later code, not 5x5: each output pixel then depends on as
     many inputs as any other. The scale of batch norm starts from N(1, 0.02), as in that code.
  4. The paper generates images of 64 pixels. Images of 28 pixels have two stages, from 7x7.
  5. Samples come from a moving average of the generator with a half-life of 20,000 images, which
     the paper does not use. It does not affect training. It averages the running statistics of
     batch norm too, which do not fit the averaged weights early in a run: up to about step 1000 of
     the small preset, scores are several times worse than those of the raw weights; from step 2000
     on they agree (one seed).
  6. The small preset has a quarter of the channels and 6000 steps.
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
from gan_jax.networks import dcgan

config = Config(
    name="mnist_dcgan",
    gen=dcgan.Generator(size=28, channels=1, width=64),
    disc=dcgan.Discriminator(size=28, width=64),
    steps=20_000,
    data=ImageData("mnist", symmetric=True),
    objective=Objective(loss="non_saturating"),
    gen_opt=Optimizer(lr=2e-4, b1=0.5),
    disc_opt=Optimizer(lr=2e-4, b1=0.5),
    prior=Prior(dim=100, distribution="uniform"),
    ema=EMA(half_life=20_000.0),
    batch_size=128,
)
small = config.replace(
    name="mnist_dcgan_small",
    gen=dataclasses.replace(config.gen, width=16),
    disc=dataclasses.replace(config.disc, width=16),
    steps=6000,
)
presets = {
    "full": Preset(config, Logging(checkpoint_every=2000)),
    "small": Preset(small, Logging(checkpoint_every=2000, keep=6)),
}

if __name__ == "__main__":
    train.main(presets)
