r"""Train WaveGAN on spoken digits (Donahue, McAuley & Puckette 2019, 1802.04208).

A GAN of raw audio. The small preset takes about 45 minutes on two CPU cores. Its samples sound like
speech but are seldom a clear digit; `spoken_digit_specgan` does better.

    gan-jax train spoken_digit_wavegan --preset small --score-every 1000
    gan-jax train spoken_digit_wavegan
    gan-jax train spoken_digit_wavegan --preset small --data.labels \
        --gen.classes 10 --disc.classes 10

The data set is `spoken_digit` 1.0.9 (the Free Spoken Digit Dataset: five speakers, takes 5 to 49 of
each digit) as tensorflow-datasets prepares it, in `$TFDS_DATA_DIR`. Your own files: `--data.name
sounds --data.path FOLDER`.

Implementation details:

  1. As in the paper for its data set SC09 (sec. 3, tables 3 and 4): audio of 16384 samples at 16
     kHz, to which the 8 kHz recordings are resampled; WGAN-GP with weight 10, five critic updates
     per step, batches of 64, Adam at 1e-4 with beta1 0.5 and beta2 0.9, z uniform on [-1, 1]^100,
     no batch norm, phase shuffle of 2.
  2. Each recording is scaled to a peak of 1: one speaker is thirty times as loud as another.
  3. Phase shuffle samples a shift per example and stage. The authors' code samples one for the
     whole batch. A penalty is evaluated with the shifts of the real example.
  4. The critic's logit has no bias: the Wasserstein loss does not depend on it.
  5. Labels, which the paper does not use, join z as a one-hot vector; the critic has the projection
     of Miyato & Koyama 2018 (1802.05637) on its last features.
  6. The learned filter after the generator, an option of the authors' code, is left out.
  7. The small preset has a quarter of the channels and audio of 4096 samples at 6 kHz, two thirds
     of a second (one recording in thirty is longer). Its objective is relativistic pairing with R1
     and R2 at every fourth update, with learning rates and gammas that fall by cosines (Huang et
     al. 2025, 2501.05441); samples come from a moving average of the generator.
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
