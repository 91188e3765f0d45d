"""The article's GAN on MNIST: experiments/digits_mlp.py, with its deviations, on 60,000 digits.

Data     MNIST 3.0.1 as tensorflow-datasets prepares it (array_record), in $TFDS_DATA_DIR; MNIST's
         own files serve with --data.name idx --data.path FOLDER
Command  python -m experiments.mnist_mlp
Result   README.md, from experiments/results/mnist_mlp.json
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
