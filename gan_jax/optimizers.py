"""One player's optax optimiser at one train step. Its hyper-parameters are read at that step, so lr
and b2 may be schedules, or traced values of a sweep; its state holds moments and nothing else."""

import jax
import optax

from gan_jax import schedules
from gan_jax.config import Optimizer


def make(config: Optimizer, step: jax.Array | int, lazy: int = 1) -> optax.GradientTransformation:
    """The optimiser that `config` describes, at train step `step`.

    With lazy penalties every `lazy` = k > 1 updates there are k+1 updates where there were k, so
    the learning rate is scaled, and the decays are raised to the power, c = k/(k+1)
    (Karras et al. 2020, 1912.04958, appendix B).
    """
    c = lazy / (lazy + 1) if lazy > 1 else 1
    lr = schedules.at(config.lr, step) * c
    b1, b2 = config.b1**c, schedules.at(config.b2, step) ** c
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
