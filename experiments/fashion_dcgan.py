"""DCGAN on Fashion-MNIST: experiments/mnist_dcgan.py on clothes.

Data     Fashion-MNIST 3.0.1 as tensorflow-datasets prepares it, in $TFDS_DATA_DIR
Command  python -m experiments.fashion_dcgan [--preset small] --seeds 0 1 2
Result   README.md, from experiments/results/fashion_dcgan_small.json
"""

import dataclasses

from gan_jax import train
from gan_jax.config import Data

from . import mnist_dcgan

data = Data("fashion_mnist", symmetric=True)
config = dataclasses.replace(mnist_dcgan.config, name="fashion_dcgan", data=data)
small = dataclasses.replace(mnist_dcgan.small, name="fashion_dcgan_small", data=data)

if __name__ == "__main__":
    train.main(config, small)
