"""WIP"""
from gan_jax import train
from gan_jax.config import Config, Data, Optimizer, Penalties
from gan_jax.networks import mlp

config = Config(
    name="digits_mlp",
    gen=mlp.Generator(),
    disc=mlp.Discriminator(),
    steps=8000,
    data=Data("digits", split="all", size=28),
)

if __name__ == "__main__":
    train.main(config)
