"""DCGAN on Fashion-MNIST: experiments/mnist_dcgan.py on clothes.

Data     Fashion-MNIST 3.0.1 as tensorflow-datasets prepares it, in $TFDS_DATA_DIR
Command  python -m experiments.fashion_dcgan [--preset small] --seeds 0 1 2
Result   README.md, from experiments/results/fashion_dcgan_small.json
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
