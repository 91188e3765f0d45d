"""What a trained generator is worth, as far as its data tell without a learned feature."""

import numpy as np

from gan_jax import keys, sampling
from gan_jax.config import Config
from gan_jax.data.sources import MIXTURES
from gan_jax.metrics.modes import Modes, modes
from gan_jax.population import member, members
from gan_jax.state import TrainState, generator_variables

SAMPLES = 2500  # of a 2-D mixture, as VEEGAN and PacGAN score them


def scores(config: Config, state: TrainState) -> list[dict[str, float]]:
    """Each member's scores by name: of a 2-D mixture modes covered, high-quality share and KL of
    2500 samples (gan_jax/metrics/modes.py), NaN where one is not finite; of other data none yet."""
    found = []
    for number in range(len(members(config))):
        one, its_state = member(config, state, number)
        if config.data.name in MIXTURES:
            centres, sigma = MIXTURES[config.data.name]
            key = keys.step_key(keys.root(one.seed), keys.Purpose.SAMPLE, 0)
            points = sampling.sample(one, generator_variables(its_state), key, SAMPLES)
            if np.isfinite(points).all():
                found.append(modes(points, centres(), sigma)._asdict())
            else:  # it has diverged
                found.append(dict.fromkeys(Modes._fields, float("nan")))
        else:
            found.append({})
    return found
