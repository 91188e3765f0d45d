"""Schedules of R3GAN (Huang et al. 2025, 2501.05441), shared by several recipes."""

from gan_jax.config import Config, Optimizer, Penalties
from gan_jax.config.schedules import Schedule


def with_schedules(
    config: Config,
    *,
    steps: int,
    gammas: tuple[float, float],
    half_life: float,
    rates: tuple[float, float] = (2e-4, 5e-5),
) -> Config:
    """Return `config` with the paper's cosine schedules for both players.

    Args:
        config: Recipe without schedules.
        steps: Number of train steps from the first to the last value of each schedule.
        gammas: First and last weight of R1 and of R2.
        half_life: Last half-life of the moving average, in images; the first one is 0.
        rates: First and last learning rate. Adam's beta2 rises from 0.9 to 0.99.

    Returns:
        The config with penalties, optimizers and moving average replaced.
    """
    gamma = Schedule(*gammas, steps, "cosine")
    adam = Optimizer(
        lr=Schedule(*rates, steps, "cosine"), b1=0.0, b2=Schedule(0.9, 0.99, steps, "cosine")
    )
    return config.replace(
        penalties=Penalties(r1=gamma, r2=gamma),
        gen_opt=adam,
        disc_opt=adam,
        ema_half_life=Schedule(0.0, half_life, steps, "cosine"),
    )


# Networks of the small presets at 32 pixels. At such widths, convolutions that are not grouped are
# faster on CPUs.
SMALL_32 = {
    "size": 32,
    "widths": (96, 64, 48, 16),
    "cardinality": (1, 1, 1, 1),
    "blocks": (1, 1, 1, 1),
    "expansion": 1,
}
