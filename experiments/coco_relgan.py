"""Train RelGAN on COCO captions (Nie et al. 2019, ICLR).

The run starts with 150 epochs of maximum likelihood and continues with 2000 adversarial steps. The
small preset takes about 20 minutes on two CPU cores. Expect captions that are grammatical in parts;
an LSTM trained by likelihood alone (`coco_lstm`) is ahead at equal diversity.

    gan-jax train coco_relgan --data.path FILE --data.test-path FILE --preset small
    gan-jax evaluate runs/coco_relgan_small
    python -m studies.text_study --runs runs/coco_relgan_small runs/coco_lstm_small

Both files have one caption per line, like the image COCO files of Texygen (10,000 sentences each).

Implementation details:

  1. As in the authors' code: batches of 64, a relational memory of one slot and two heads of 256,
     embeddings of 32 in the generator, 64 representations of an embedding of 64 in the
     discriminator, five discriminator updates per step, Adam at 1e-2 with gradients clipped to a
     norm of 5 in the likelihood phase, then at 1e-4.
  2. The inverse temperature of the Gumbel softmax rises exponentially from 1 to 100 over the 2000
     adversarial steps, as the paper's formula has it (N is the number of iterations). The authors'
     code sets N to 5000 and stops at 2000, so that its inverse temperature ends at 100^0.4 = 6.3: a
     factor of 16 below the one here. The small preset rises to 100 in 500 steps. Whether this
     changes the comparison with the LSTM was not measured.
  3. The authors' code clips the global norm of both players' gradients at 5 in the adversarial
     phase too. Here only the likelihood phase clips.
  4. One step of the likelihood phase makes an update on each of its five batches, so 4680 steps are
     150 epochs of 156 batches.
  5. Texts are split into words by a rule of this project, not by NLTK: 4637 words with the end and
     the unknown one, in sentences of at most 37.
  6. There is no dropout before the discriminator's last layers.
  7. Attention is scaled by the width of a key, as in the formula. The authors' code scales by the
     widths of key, query and value together.
  8. Truncated normal initializers have the requested standard deviation, not 0.88 of it.
  9. The generator takes a random key per example as z, and its Gumbel noise depends on that key and
     the position alone, so samples do not depend on the batch.
  10. The small preset has sentences of at most 20 words (9896 of them), heads of 64, 8
      representations of an embedding of 32, 64 filters per size, 16 epochs of likelihood, and 500
      adversarial steps.
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
