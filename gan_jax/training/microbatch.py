"""Checks that gradient accumulation is exact: equal to the whole batch, up to rounding.

It is exact for means over examples, or over pairs of the i-th real and the i-th fake example:

    losses      minimax, non_saturating, least_squares, hinge, wasserstein, relativistic
    terms       r1, r2, gradient_penalty, one_sided, class heads, reconstruction, perceptual,
                likelihoods
    layers      layers that treat examples independently; spectral norm, whose power iteration
                starts from the same vectors for every microbatch; running means of StyleGAN2's w;
                PacGAN, whose packs are not split
    others      augmentation, including adaptive augmentation; masks; any number of devices

It is rejected for everything that depends on the whole batch:

    losses      relativistic averages, which subtract the mean of the other logits
    terms       dragan, whose noise is scaled by the standard deviation of the batch; path_length,
                which has a running mean
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
    """Check that gradient accumulation is exact for the loss and its terms.

    Args:
        config: Config of a run, or of a population member.
        devices: Number of devices that share each batch.
        size: Examples per device and microbatch; 0 for the whole batch.

    Raises:
        UserError: If `size` does not divide the batch of a device, or the loss or a term depends on
            the whole batch.
    """
    device_batch, pac_size = config.batch_size // devices, config.disc.pac_size
    if not size or size >= device_batch:
        return
    if device_batch % size or size % pac_size:
        packs = f" and be a multiple of {pac_size}, the pack size" if pac_size > 1 else ""
        raise UserError(
            f"microbatch must divide {device_batch}, the examples per device{packs}, got {size}"
        )
    objective = config.objective
    depends_on_batch = {
        f"loss {objective.loss!r}": objective.loss not in PER_EXAMPLE,
        "penalties.dragan": not schedules.is_off(objective.penalties.dragan),
        "path_length": not schedules.is_off(objective.path_length),
    }
    _reject(size, [name for name, depends in depends_on_batch.items() if depends])


def mixing_layers(module: nn.Module, variables: Any, *inputs: Any) -> list[str]:
    """List the types of layers in a network that mix examples in training mode.

    The network is traced, not computed. Custom layers that mix examples are not detected.

    Args:
        module: Network.
        variables: Variables of the network; shapes and dtypes suffice.
        *inputs: Inputs of the network; shapes and dtypes suffice.

    Returns:
        Names of the layer types, each once.
    """
    layers: dict[str, None] = {}  # an ordered set

    def record(next_function: Any, args: tuple, kwargs: dict, context: Any) -> Any:
        if isinstance(context.module, MIXING_LAYERS):
            layers[type(context.module).__name__] = None
        return next_function(*args, **kwargs)

    def apply(variables: Any, *inputs: Any) -> Any:
        collections = [name for name in variables if name != "params"]
        return module.apply(variables, *inputs, train=True, mutable=collections)

    with nn.intercept_methods(record):
        jax.eval_shape(apply, variables, *inputs)
    return [*layers]


def check_layers(config: Config, devices: int, size: int, layers: dict[str, list[str]]) -> None:
    """Check that no layer mixes examples if microbatches are used.

    Args:
        config: Config of the run.
        devices: Number of devices that share each batch.
        size: Examples per device and microbatch; 0 for the whole batch.
        layers: Types of layers that mix examples, by player.

    Raises:
        UserError: If microbatches are used and there is such a layer.
    """
    if 0 < size < config.batch_size // devices:
        _reject(size, [f"{kind} of {player}" for player, kinds in layers.items() for kind in kinds])


def _reject(size: int, causes: list[str]) -> None:
    """Raise UserError if there are causes, which depend on the whole batch."""
    if causes:
        raise UserError(
            f"microbatch must be 0 with {', '.join(causes)}, which depends on the whole batch, "
            f"got {size}"
        )
