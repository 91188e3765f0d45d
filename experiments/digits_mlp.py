"""The article's GAN on real handwritten digits: two MLPs, binary cross-entropy, Adam, alternating.

Data     the 1797 digits, 8x8, that scikit-learn carries, at 28x28 by Pillow's bicubic filter
Command  python -m experiments.digits_mlp          (what `make train` runs)
Result   README.md, from experiments/results/digits_mlp.json

Generator 100 -> 128 -> 256 -> 512 -> 784 (ReLU, sigmoid out); discriminator 784 -> 512 -> 256 -> 1;
Goodfellow et al. 2014 (1406.2661), non-saturating. This is what the article meant; its
listing differs:

1. It gives the discriminator generated images as the real ones and random noise as the fake ones.
   Here the real ones are the data and the fake ones are G(z).
2. It never freezes the discriminator while it trains the generator through it. Here each update
   moves one player.
3. It never opens a data set.
4. Its discriminator ends in a sigmoid, and the cross-entropy takes a probability. Here that is
   one function of the logit, which is the same and does not overflow.
5. It has no penalty. Without one this pair collapses: the discriminator knows all the pictures
   from the fakes, and the generator ends at a few blots, on MNIST at a single one. R1 with gamma 1
   (Mescheder et al. 2018, 1801.04406), a learning rate of 4e-4 and a moving average of the
   generator's weights with a half-life of 5000 images mend it; `--penalties.r1 0` shows it.
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
