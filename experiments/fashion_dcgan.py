"""Train a DCGAN on Fashion-MNIST (Radford, Metz & Chintala 2016, 1511.06434).

The small preset takes about 15 minutes for three seeds on two CPU cores.

    gan-jax train fashion_dcgan --preset small --seeds 0 1 2
    gan-jax train fashion_dcgan --seeds 0 1 2

The data set is `fashion_mnist` as tensorflow-datasets prepares it, in `$TFDS_DATA_DIR`.

Implementation details:

  1. Everything but the data set is that of `mnist_dcgan`, with all its deviations from the paper.
"""

from gan_jax import train
from gan_jax.config import ImageData, Logging, Preset

from . import mnist_dcgan

data = ImageData("fashion_mnist", symmetric=True)
config = mnist_dcgan.config.replace(name="fashion_dcgan", data=data)
small = mnist_dcgan.small.replace(name="fashion_dcgan_small", data=data)
presets = {
    "full": Preset(config, Logging(checkpoint_every=2000)),
    "small": Preset(small, Logging(checkpoint_every=2000, keep=6)),
}

if __name__ == "__main__":
    train.main(presets)
