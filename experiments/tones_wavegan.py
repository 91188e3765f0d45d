"""Train a small WaveGAN on synthetic tones, conditional on the pitch class (1802.04208).

Networks of Donahue, McAuley & Puckette 2019, small enough to train in about five minutes for one
seed on two CPU cores. `gan-jax evaluate RUN` reports how many samples are tones, are in tune, and
have the requested pitch.

    gan-jax train tones_wavegan --seeds 0 1 2
    gan-jax sample runs/tones_wavegan --member 0 --out tones.wav

The data are 6000 plucked tones of the twelve pitches of two octaves, a quarter of a second each.
The recipe needs no download.

Implementation details:

  1. The networks are WaveGAN's with four stages and few channels, for 2048 samples. The pitch class
     joins z as a one-hot vector; the discriminator has the projection of Miyato & Koyama 2018
     (1802.05637).
  2. The objective is relativistic pairing with R1 and R2 (Huang et al. 2025, 2501.05441), not
     WGAN-GP. Learning rates and gammas fall by cosines over the run.
  3. Samples come from a moving average of the generator.
  4. Phase shuffle samples a shift per example and stage. The authors' code samples one for the
     whole batch.
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
