"""A small WaveGAN of plucked tones, conditional on the pitch class, made to be quick.

Data     tones: 6000 synthetic ones of the twelve pitches of two octaves, a quarter second each
Command  python -m experiments.tones_wavegan --seeds 0 1 2
Result   README.md, from experiments/results/tones_wavegan.json: how many are tones, in tune, of the
         pitch asked for

The networks are WaveGAN's (Donahue et al. 2019, 1802.04208) with four stages and few channels. The
game is the article's: relativistic pairing with R1 and R2, rates and gammas falling by cosines over
the run (Huang et al. 2025, 2501.05441); sampled from is a moving average of the generator.
"""

from gan_jax import train
from gan_jax.config import (
    EMA,
    AudioData,
    Config,
    Objective,
    Optimizer,
    Penalties,
    Preset,
    Prior,
)
from gan_jax.config.schedules import Schedule
from gan_jax.networks import wavegan

STEPS = 4000
gamma = Schedule(1.0, 0.1, STEPS, "cosine")
adam = Optimizer(lr=Schedule(5e-4, 5e-5, STEPS, "cosine"), b1=0.0, b2=0.99)
config = Config(
    name="tones_wavegan",
    gen=wavegan.Generator(length=2048, width=8, stages=4, classes=12),
    disc=wavegan.Discriminator(length=2048, width=8, stages=4, classes=12, last_bias=False),
    steps=STEPS,
    data=AudioData("tones", labels=True),
    objective=Objective(loss="relativistic", penalties=Penalties(r1=gamma, r2=gamma)),
    gen_opt=adam,
    disc_opt=adam,
    prior=Prior(dim=32),
    ema=EMA(half_life=10_000.0, ramp=0.05),
    batch_size=32,
)
presets = {
    "full": Preset(config),
}

if __name__ == "__main__":
    train.main(presets)
