"""An LSTM that writes character by character, by likelihood alone.

Data     the help texts that every Python installation carries, in windows of 64 characters; or any
         text: --data.path FILE (tiny Shakespeare has 65 characters)
Command  python -m experiments.text_lstm [--data.path FILE]
Result   README.md, from experiments/results/text_lstm.json

Adam at 3e-3, batches of 64, about ten epochs.
"""

from gan_jax import train
from gan_jax.config import Config, Data, Optimizer, Pretrain
from gan_jax.networks import lstm, relgan, sequence

adam = Optimizer(lr=3e-3, b1=0.9)
config = Config(
    name="text_lstm",
    gen=sequence.Generator(lstm.Cell(256), length=64, vocabulary=128, embedding=32),
    disc=relgan.Discriminator(embedding=1, representations=1, filters=1, sizes=(2,), hidden=1),
    steps=1500,
    data=Data("running_text", level="characters", tokens=64, vocabulary=128),
    loss="relativistic",
    gen_opt=adam,
    pretrain=Pretrain(1500, adam, clip=5.0),
    z_dim=2,
    latent="key",
    sample_every=250,
    checkpoint_every=250,
)

if __name__ == "__main__":
    train.main(config)
