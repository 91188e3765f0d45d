"""Repairs of pictures of clothes: experiments/mnist_inpaint.py on Fashion-MNIST.

Data     fashion_mnist as tensorflow-datasets prepares it; holes drawn anew for every example
Command  python -m experiments.fashion_inpaint [--preset small] --seeds 0 1 2
         python -m studies.inpaint_study --run runs/fashion_inpaint_small --num 10000
Result   README.md, from experiments/results/fashion_inpaint_small_study.json
"""

import dataclasses

from gan_jax import train

from . import mnist_inpaint

data = dataclasses.replace(mnist_inpaint.config.data, name="fashion_mnist")
config = dataclasses.replace(mnist_inpaint.config, name="fashion_inpaint", data=data)
small = dataclasses.replace(mnist_inpaint.small, name="fashion_inpaint_small", data=data)

if __name__ == "__main__":
    train.main(config, small)
