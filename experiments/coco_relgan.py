"""RelGAN on captions of pictures: Nie et al. 2019, with the settings of its authors' code.

Data     a caption a line, as in the image COCO files of Texygen (10,000 sentences for training, as
         many for the test): --data.path FILE --data.test-path FILE
Command  python -m experiments.coco_relgan --data.path FILE --data.test-path FILE [--preset small]
Result   README.md, from experiments/results/coco_relgan_small.json and coco_relgan_small_study.json

150 epochs of likelihood first (of 156 batches; five batches a step), then 2000 steps of the game.
Batches of 64; memory of one slot, two heads of 256; embeddings of 32, and of 64 in as many
representations; Adam at 1e-2 with gradients of a norm of at most 5, then at 1e-4; inverse
temperature from 1 to 100.

Deviations beside those of gan_jax/networks/relgan.py. Texts are cut into words by a rule of this
project's, not by NLTK: 4637 of them with the end and the unknown one, sentences of at most 37.
The small version has sentences of at most 20 words (9896 of them), heads of 64, 8 representations
of 4 features, 64 filters of a size, 16 epochs of likelihood and 500 steps.
"""

import dataclasses

from gan_jax import train
from gan_jax.config import (
    Config,
    Logging,
    Objective,
    Optimizer,
    Preset,
    Pretrain,
    Prior,
    TextData,
)
from gan_jax.networks import relgan

from ._text import relgan_generator

adam = Optimizer(lr=1e-4, b1=0.9)
pretrain = Pretrain(150 * 156 // 5, Optimizer(lr=1e-2, b1=0.9), clip=5.0)
data = TextData("lines", tokens=37, vocabulary=4637)
config = Config(
    name="coco_relgan",
    gen=relgan_generator(data, head_size=256, beta_end=100.0, beta_steps=2000),
    disc=relgan.Discriminator(embedding=64, representations=64, filters=300),
    steps=pretrain.steps + 2000,
    data=data,
    objective=Objective(loss="relativistic"),
    gen_opt=adam,
    disc_opt=adam,
    pretrain=pretrain,
    n_critic=5,
    prior=Prior(dim=2, distribution="key"),
    batch_size=64,
)
small_data = dataclasses.replace(data, tokens=20)
small = config.replace(
    name="coco_relgan_small",
    gen=relgan_generator(small_data, head_size=64, beta_end=100.0, beta_steps=500),
    disc=relgan.Discriminator(embedding=32, representations=8, filters=64),
    steps=1000,
    data=small_data,
    pretrain=dataclasses.replace(pretrain, steps=500),
)
presets = {
    "full": Preset(config, Logging(sample_every=200, checkpoint_every=200, keep=12)),
    "small": Preset(small, Logging(sample_every=100, checkpoint_every=100, keep=12)),
}

if __name__ == "__main__":
    train.main(presets)
