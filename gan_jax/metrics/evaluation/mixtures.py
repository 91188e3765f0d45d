"""What a trained generator is worth, as far as its data tell without a learned feature."""

import jax
import numpy as np

from gan_jax import keys, sampling
from gan_jax.config import Config
from gan_jax.data.sources import MIXTURES
from gan_jax.metrics.modes import Modes, modes
from gan_jax.population import member, members
from gan_jax.state import TrainState, generator_variables

SAMPLES = 2500  # of a 2-D mixture, as VEEGAN and PacGAN score them


def sample_key(member: Config, seed: int | None = None) -> jax.Array:
    """Of the noise of the samples to score: `seed`'s, or the member's own."""
    return keys.sample_key(member.seed if seed is None else seed)


def score_modes(
    config: Config, state: TrainState, seed: int | None = None, n: int = SAMPLES
) -> Modes | None:
    """Of `n` samples of one member on a 2-D mixture (gan_jax/metrics/modes.py); None where one is
    not finite."""
    centres, sigma = MIXTURES[config.data.name]
    key = sample_key(config, seed)
    points = sampling.sample(config, generator_variables(state), key, n)
    return modes(points, centres(), sigma) if np.isfinite(points).all() else None


def scores(config: Config, state: TrainState) -> list[dict[str, float]]:
    """Each member's scores by name: of a 2-D mixture modes covered, high-quality share and KL, NaN
    where the member has diverged; of other data none."""
    if config.data.name not in MIXTURES:
        return [{} for _ in members(config)]
    found = [score_modes(*member(config, state, i)) for i in range(len(members(config)))]
    return [one._asdict() if one else dict.fromkeys(Modes._fields, float("nan")) for one in found]
