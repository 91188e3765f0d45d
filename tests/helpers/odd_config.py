"""Config with values that are hard to serialize."""

from gan_jax.config import EMA, Config, ImageData, Objective, Optimizer, Penalties
from gan_jax.config.schedules import Schedule
from gan_jax.networks import mlp

CONFIG = Config(
    name="a_name-1.0",
    gen=mlp.Generator(shape=(2,), widths=(7, 5), classes=3, norm="batch", dtype="bfloat16"),
    disc=mlp.Discriminator(widths=(), norm="spectral", minibatch_std=4),
    steps=10,
    data=ImageData("npz", path="/a\\b", size=28, channels=3, labels=True),
    objective=Objective(penalties=Penalties(r1=1 / 3, r2=Schedule(1e-300, 0.1, 7, "cosine"))),
    gen_opt=Optimizer("sgd", lr=Schedule(2e-4, 0, 5), b2=1 - 2**-52),
    ema=EMA(half_life=12345.678),
    seed=2**32 - 1,
)
