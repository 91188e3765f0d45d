"""R3GAN's schedules (Huang et al. 2025, 2501.05441), which several recipes share."""

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
      steps: Train steps from the first to the last value of each schedule.
      gammas: Weight of R1 and of R2, at the first and the last step.
      half_life: Half-life of the moving average at the end, in images; it begins at 0.
      rates: Learning rate at the first and the last step. Adam's beta2 goes from 0.9 to 0.99.
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


# Networks of the small versions at 32 pixels. Their 3x3 convolutions are not grouped, which is
# faster on CPUs at such widths.
SMALL_32 = {
    "size": 32,
    "widths": (96, 64, 48, 16),
    "cardinality": (1, 1, 1, 1),
    "blocks": (1, 1, 1, 1),
    "expansion": 1,
}
