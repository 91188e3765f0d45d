"""Repairs of pictures of clothes: experiments/mnist_inpaint.py on Fashion-MNIST.

Data     fashion_mnist as tensorflow-datasets prepares it; holes drawn anew for every example
Command  python -m experiments.fashion_inpaint [--preset small] --seeds 0 1 2
         python -m studies.inpaint_study --run runs/fashion_inpaint_small --num 10000
Result   README.md, from experiments/results/fashion_inpaint_small_study.json
"""

import dataclasses

from gan_jax import train
from gan_jax.config import Preset

from . import mnist_inpaint

data = dataclasses.replace(mnist_inpaint.config.data, name="fashion_mnist")
config = mnist_inpaint.config.replace(name="fashion_inpaint", data=data)
small = mnist_inpaint.small.replace(name="fashion_inpaint_small", data=data)
presets = {
    "full": Preset(config),
    "small": Preset(small),
}

if __name__ == "__main__":
    train.main(presets)
