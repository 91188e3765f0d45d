"""Optax optimizers of the players.

Their states contain moments alone. Hyper-parameters are arguments of each update, so they may be
schedules, or traced values of a sweep.
"""

from typing import Any

import optax

from gan_jax.config import Optimizer, schedules


def make_optimizer(config: Optimizer, lazy_every: int = 1) -> optax.GradientTransformation:
    """Make the optimizer of one update.

    With an extra update of a lazy term every k > 1 updates, there are k + 1 updates for every k.
    To compensate, the learning rate is multiplied by c = k / (k + 1), and the decay rates are
    raised to the power c (Karras et al. 2020, 1912.04958, appendix B).

    Args:
        config: Hyper-parameters, with schedules resolved (`schedules.resolve`).
        lazy_every: Number of updates k between the extra updates of a lazy term; 1 if it has none.

    Returns:
        An optax gradient transformation.

    Raises:
        ValueError: If `config.name` is not the name of an optimizer.

    Example:
        >>> optimizer = make_optimizer(Optimizer("sgd", lr=0.5, b1=0.0))
        >>> updates, _ = optimizer.update(1.0, optimizer.init(2.0))
        >>> float(updates)
        -0.5
    """
    c = lazy_every / (lazy_every + 1) if lazy_every > 1 else 1
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
    raise ValueError(f"name must be a known optimizer, got {config.name!r}")
