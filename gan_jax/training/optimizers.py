"""Optax optimizers of the players.

Their state holds moments and nothing else: hyper-parameters are arguments of each update, so they
may be schedules or the traced values of a sweep.
"""

from typing import Any

import optax

from gan_jax.config import Optimizer, schedules


def make_optimizer(config: Optimizer, penalty_every: int = 1) -> optax.GradientTransformation:
    """The optimizer of one update.

    Lazy penalties every k > 1 updates make k + 1 updates out of k. To compensate, the learning rate
    is multiplied by c = k / (k + 1) and the decays are raised to the power c (Karras et al. 2020,
    1912.04958, appendix B).

    Args:
        config: Hyper-parameters, with schedules resolved (`schedules.resolve`).
        penalty_every: Updates between lazy penalties, k; 1 without them.

    Returns:
        An optax gradient transformation.

    Raises:
        ValueError: `config.name` is not the name of an optimizer.
    """
    c = penalty_every / (penalty_every + 1) if penalty_every > 1 else 1
    values: Any = config
    lr, b1, b2 = values.lr * c, values.b1**c, values.b2**c
    momentum = None if schedules.is_off(b1) else b1
    match config.name:
        case "adam":
            return optax.adam(lr, b1, b2, config.eps)
        case "optimistic_adam":
            return optax.optimistic_adam_v2(lr, b1=b1, b2=b2, eps=config.eps, nesterov=False)
        case "rmsprop":
            return optax.rmsprop(lr, b2, config.eps, momentum=momentum)
        case "sgd":
            return optax.sgd(lr, momentum=momentum)
    raise ValueError(config.name)
