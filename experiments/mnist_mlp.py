"""Train two MLPs on MNIST (Goodfellow et al. 2014, 1406.2661).

The recipe is `digits_mlp` on 60,000 digits. It takes about 15 minutes for one seed on two CPU
cores.

    gan-jax train mnist_mlp
    gan-jax train mnist_mlp --data.name idx --data.path FOLDER

The data set is `mnist` as tensorflow-datasets prepares it, in `$TFDS_DATA_DIR`. The second command
reads MNIST's own files.

Implementation details:

  1. Networks, loss, penalty and optimizer are those of `digits_mlp`, with all differences from the
     article's listing. There are 20,000 steps.
  2. The paper's networks for MNIST (sec. 5) have maxout units and dropout in the discriminator, and
     ReLU and sigmoid units in the generator. These are the article's.
"""

from gan_jax import train
from gan_jax.config import ImageData, Logging, Preset

from . import digits_mlp

config = digits_mlp.config.replace(name="mnist_mlp", steps=20_000, data=ImageData("mnist"))
presets = {
    "full": Preset(config, Logging(sample_every=2000)),
}

if __name__ == "__main__":
    train.main(presets)
