"""Where gradient accumulation is exact: a step on microbatches is then that on the whole batch, to
rounding. Elsewhere it is refused.

Exact for what is a mean over examples, or over pairs of the i-th real and the i-th fake:

    losses      minimax, non_saturating, least_squares, hinge, wasserstein, relativistic
    terms       r1, r2, gradient_penalty, one_sided, class heads, reconstruction, perceptual,
                likelihoods
    layers      all that treat examples one by one; spectral norm, whose power iteration starts each
                time where the step began; running means of StyleGAN2's w; packs, kept whole
    beside      augmentation, also an adaptive one; masks; any number of devices

Not for what looks at the whole batch:

    losses      the relativistic averages, each logit less the mean of the others
    terms       dragan, whose noise has the batch's deviation; path_length, by a running mean
    layers      batch norm (also conditional), minibatch standard deviation
"""

from typing import Any

import flax.linen as nn
import jax

from gan_jax.config import Config, schedules
from gan_jax.core.errors import UserError
from gan_jax.losses.adversarial import PER_EXAMPLE
from gan_jax.networks.layers import MinibatchStd

MIXING_LAYERS = (nn.BatchNorm, MinibatchStd)


def check_objective(config: Config, devices: int, size: int) -> None:
    """Check that gradient accumulation over microbatches is exact for the loss and its terms.

    Args:
        config: One run.
        devices: Number of devices that share each batch.
        size: Examples of a microbatch, 0 for none.

    Raises:
        UserError: If `size` does not divide a device's part of the batch, or the loss or a term
            depends on the whole batch.
    """
    own, pack = config.batch_size // devices, config.disc.pack
    if not size or size >= own:
        return
    if own % size or size % pack:
        packs = f", and made of whole packs of {pack}" if pack > 1 else ""
        raise UserError(f"microbatch is {size}: it must divide {own}, a device's examples{packs}")
    whole = {f"loss {config.objective.loss!r}": config.objective.loss not in PER_EXAMPLE}
    whole |= {"penalties.dragan": not schedules.is_off(config.objective.penalties.dragan)}
    whole |= {"path_length": not schedules.is_off(config.objective.path_length)}
    _require_independent(size, [name for name, looks in whole.items() if looks])


def mixing_layers(module: nn.Module, variables: Any, *inputs: Any) -> list[str]:
    """The layers, by kind, of a network in training that look at more than one example; nothing is
    computed. Layers of a user's own that do are not known."""
    found: dict[str, None] = {}

    def watch(next_function: Any, args: tuple, kwargs: dict, context: Any) -> Any:
        if isinstance(context.module, MIXING_LAYERS):
            found[type(context.module).__name__] = None
        return next_function(*args, **kwargs)

    def apply(variables: Any, *inputs: Any) -> Any:
        kept = [name for name in variables if name != "params"]
        return module.apply(variables, *inputs, train=True, mutable=kept)

    with nn.intercept_methods(watch):
        jax.eval_shape(apply, variables, *inputs)
    return [*found]


def check_layers(config: Config, devices: int, size: int, layers: dict[str, list[str]]) -> None:
    """Check that no layer mixes examples where microbatches are in use.

    Args:
        config: One run.
        devices: Number of devices that share each batch.
        size: Examples of a microbatch, 0 for none.
        layers: Layers that mix examples, by player.

    Raises:
        UserError: If there is one.
    """
    if 0 < size < config.batch_size // devices:
        named = [f"{kind} of {player}" for player, kinds in layers.items() for kind in kinds]
        _require_independent(size, named)


def _require_independent(size: int, whole: list[str]) -> None:
    if whole:
        raise UserError(
            f"microbatch is {size}: it must be 0 with {', '.join(whole)}, which looks "
            "at the whole batch"
        )
