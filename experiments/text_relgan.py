"""Train a character-level RelGAN, small enough for a CPU (Nie et al. 2019, ICLR).

The text is that of `text_lstm`, in windows of 32 characters. The recipe needs no download and has
no result on record.

    gan-jax train text_relgan
    gan-jax train text_relgan --data.path FILE

Implementation details:

  1. There are 600 steps of likelihood, with an update on each of five batches, then 600 adversarial
     steps. The paper's experiments use words.
  2. The inverse temperature rises from 1 to 10: there are fewer characters than words, and their
     choice is clearer.
  3. Deviations of networks and training from the authors' code are those of `coco_relgan`.
"""

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

data = TextData("running_text", level="characters", tokens=32, vocabulary=128)
adam = Optimizer(lr=1e-4, b1=0.9)
config = Config(
    name="text_relgan",
    gen=relgan_generator(data, head_size=64, beta_end=10.0, beta_steps=600),
    disc=relgan.Discriminator(embedding=32, representations=8, filters=64),
    steps=1200,
    data=data,
    objective=Objective(loss="relativistic"),
    gen_opt=adam,
    disc_opt=adam,
    pretrain=Pretrain(600, Optimizer(lr=5e-3, b1=0.9), clip=5.0),
    n_critic=5,
    prior=Prior(dim=2, distribution="key"),
)
presets = {
    "full": Preset(config, Logging(sample_every=100, checkpoint_every=100, keep=12)),
}

if __name__ == "__main__":
    train.main(presets)
