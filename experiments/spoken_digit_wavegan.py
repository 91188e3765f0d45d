"""WaveGAN on spoken digits (Donahue, McAuley & Puckette 2019, 1802.04208).

Data     spoken_digit 1.0.9 (the Free Spoken Digit Dataset: five speakers, takes 5 to 49 of each
         digit) as tensorflow-datasets prepares it (array_record), in $TFDS_DATA_DIR
Command  python -m experiments.spoken_digit_wavegan [--preset small]; class-conditional with
         --data.labels
         --gen.classes 10 --disc.classes 10; on your own files with --data.name sounds --data.path
Result   README.md, from experiments/results/spoken_digit_wavegan_small.json

The authors' hyper-parameters for their SC09: second-long sounds of 16384 samples at 16 kHz, to
which these are resampled from 8; WGAN-GP with lambda 10, five critic updates a step, batches of 64,
Adam at 1e-4 with beta1 0.5 and beta2 0.9, phase shuffle of 2. Deviation: every sound is brought to
a peak of 1, for one of the speakers is thirty times as loud as another.

`--preset small` has a quarter of the channels and sounds of 4096 samples at 6 kHz, which hold two
thirds of a second (one in thirty is longer). Its game is the article's: relativistic pairing with
R1 and R2, at every fourth update and four times as strong, and rates that fall by cosines over the
run (Huang et al. 2025, 2501.05441); sampled from is a moving average of the generator.
"""

import dataclasses

from gan_jax import train
from gan_jax.config import (
    AudioData,
    Config,
    Logging,
    Objective,
    Optimizer,
    Penalties,
    Preset,
    Prior,
)
from gan_jax.config.schedules import Schedule
from gan_jax.networks import wavegan

adam = Optimizer(lr=1e-4, b1=0.5, b2=0.9)
config = Config(
    name="spoken_digit_wavegan",
    gen=wavegan.Generator(length=16384, width=64),
    disc=wavegan.Discriminator(length=16384, width=64, last_bias=False),
    steps=200_000,
    data=AudioData("spoken_digit", length=16384, rate=16000, normalize=True),
    objective=Objective(loss="wasserstein", penalties=Penalties(gradient_penalty=10.0)),
    gen_opt=adam,
    disc_opt=adam,
    n_critic=5,
    prior=Prior(dim=100, distribution="uniform"),
    batch_size=64,
)
STEPS = 7000
gamma = Schedule(1.0, 0.1, STEPS, "cosine")
fast = Optimizer(lr=Schedule(4e-4, 4e-5, STEPS, "cosine"), b1=0.0, b2=0.99)
small = config.replace(
    name="spoken_digit_wavegan_small",
    gen=dataclasses.replace(config.gen, length=4096, width=16),
    disc=dataclasses.replace(config.disc, length=4096, width=16),
    steps=STEPS,
    data=dataclasses.replace(config.data, length=4096, rate=6000),
    loss="relativistic",
    penalties=Penalties(r1=gamma, r2=gamma),
    penalty_every=4,
    gen_opt=fast,
    disc_opt=fast,
    n_critic=1,
    ema_half_life=10_000.0,
    ema_ramp=0.05,
    batch_size=32,
)
presets = {
    "full": Preset(config, Logging(sample_every=2000, checkpoint_every=2000)),
    "small": Preset(small),
}

if __name__ == "__main__":
    train.main(presets)
