"""Train two MLPs on the bundled handwritten digits (Goodfellow et al. 2014, 1406.2661).

This is the GAN of the introductory article from which this project grew: two MLPs, binary
cross-entropy, Adam, alternating updates. It needs no download and takes about a minute on two CPU
cores; look at `runs/digits_mlp/film.png`. `make train` runs it.

    gan-jax train digits_mlp
    gan-jax train digits_mlp --penalties.r1 0
    gan-jax train digits_mlp --seeds 0 1 2

The data are the 1797 digits of 8x8 pixels that scikit-learn includes, enlarged to 28x28 by Pillow's
bicubic filter. The second command shows the collapse without the penalty.

Implementation details:

  1. With the article's widths, the generator is 100 -> 128 -> 256 -> 512 -> 784 with ReLU and a
     sigmoid output, the discriminator 784 -> 512 -> 256 -> 1 with leaky ReLU. The loss is the
     paper's non-saturating one (sec. 3).
  2. The article's listing gives the discriminator generated images as the real ones and random
     noise as the fake ones. Here the real ones are data and the fake ones are G(z).
  3. The listing never freezes the discriminator while it trains the generator through it. Here each
     update changes one player.
  4. The listing never loads a data set.
  5. The listing's discriminator ends in a sigmoid, and its cross-entropy takes a probability. Here
     the cross-entropy is one function of the logit, which is equal and does not overflow.
  6. The article has no penalty, and without one this pair collapses: the discriminator separates
     all images from the fakes, and the generator ends with a few blots, on MNIST with a single one.
     R1 with gamma 1 (Mescheder et al. 2018, 1801.04406), a learning rate of 4e-4, and a moving
     average of the generator's weights with a half-life of 5000 images prevent it.
"""

from gan_jax import train
from gan_jax.config import (
    EMA,
    Config,
    ImageData,
    Objective,
    Optimizer,
    Penalties,
    Preset,
    Prior,
)
from gan_jax.networks import mlp

config = Config(
    name="digits_mlp",
    gen=mlp.Generator(shape=(28, 28, 1), widths=(128, 256, 512)),
    disc=mlp.Discriminator(widths=(512, 256)),
    steps=6000,
    data=ImageData("digits", split="all", size=28),
    objective=Objective(loss="non_saturating", penalties=Penalties(r1=1.0)),
    gen_opt=Optimizer(lr=4e-4),
    disc_opt=Optimizer(lr=4e-4),
    prior=Prior(dim=100),
    ema=EMA(half_life=5000.0),
)
presets = {
    "full": Preset(config),
}

if __name__ == "__main__":
    train.main(presets)
