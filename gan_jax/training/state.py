"""Training state: everything that changes during training, as a pytree."""

from typing import Any

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float, Int32, Key

from gan_jax.config import Config, Optimizer, schedules
from gan_jax.core import keys
from gan_jax.data import masks
from gan_jax.data.batch import Batch
from gan_jax.training import optimizers
from gan_jax.training.augment import adaptive
from gan_jax.training.augment.adaptive import AugmentState

Metrics = dict[str, Array]


class Player(flax.struct.PyTreeNode):
    """State of a network and its optimizer."""

    params: Any
    """Trainable parameters."""
    stats: Any
    """Other variable collections: statistics of batch norm, vectors u of spectral norm, ..."""
    opt_state: Any
    """State of the optax optimizer."""


class TrainState(flax.struct.PyTreeNode):
    """State of a run after some steps. With the config and the data, it determines the rest."""

    step: Int32[Array, ""]
    """Number of completed train steps."""
    key: Key[Array, ""]
    """Root key of the run, which never changes (see gan_jax/core/keys.py)."""
    gen: Player
    """Generator."""
    disc: Player
    """Discriminator."""
    ema: Any
    """Moving average of the generator's variables; None if disabled."""
    augment: AugmentState | None
    """State of the adaptive augmentation; None if p does not adapt."""
    mean_path: Float[Array, ""] | None
    """Running mean of path lengths; None without path length regularization."""
    skipped: Int32[Array, ""]
    """Number of steps with a non-finite update. Such an update leaves its player unchanged."""
    skipped_in_row: Int32[Array, ""]
    """Number of consecutive such steps up to the current one."""


def variables(player: Player) -> dict[str, Any]:
    """Return the variables of a network, as `module.apply` expects them."""
    return {"params": player.params, **player.stats}


def generator_variables(state: TrainState) -> dict[str, Any]:
    """Return the generator's variables for sampling: the moving average if there is one."""
    return variables(state.gen) if state.ema is None else state.ema


def update_ema(config: Config, ema: Any, gen: Player, step: Int32[Array, ""]) -> Any:
    """Move the average of the generator's variables by 1 - 1/2^(batch size / half-life).

    Karras et al. 2018 (1710.10196), sec. 5.

    Args:
        config: Config of the run, with schedules.
        ema: Moving average before the step; None if disabled.
        gen: Generator after the step.
        step: Number of completed steps, including this one.

    Returns:
        The new average; None if disabled.
    """
    if ema is None:
        return None
    half_life = schedules.value_at(config.ema.half_life, step, config.batch_size)
    if not schedules.is_off(config.ema.ramp):
        ramp = jnp.where(config.ema.ramp == 0, jnp.inf, config.ema.ramp)
        num_images = step.astype(jnp.float32) * config.batch_size
        half_life = jnp.minimum(half_life, ramp * num_images)
    decay = 0.5 ** (config.batch_size / jnp.maximum(half_life, 1e-6))
    return jax.tree.map(lambda old, new: new + decay * (old - new), ema, variables(gen))


def _init_player(module: nn.Module, key: jax.Array, optimizer: Optimizer, *inputs: Any) -> Player:
    stats = dict(module.init(key, *inputs, train=False))
    params = stats.pop("params")
    transformation = optimizers.make_optimizer(schedules.resolve(optimizer, 0))
    return Player(params, stats, transformation.init(params))


def init_state(config: Config, key: Key[Array, ""], batch: Batch) -> TrainState:
    """Initialize the state before the first step.

    Call it under `jax.jit`. Otherwise `ema` shares its buffers with the generator's parameters, and
    the state cannot be donated to a train step.

    Args:
        config: Config of the run.
        key: Root key of the run.
        batch: Batch with leaves [n, ...], used for its shapes and dtypes alone.

    Returns:
        The state at step 0.
    """
    z = keys.dummy_latents(len(batch.real), config.prior.dim, config.prior.distribution)
    cond = masks.dummy_condition(config.masks, batch.real, batch.cond)
    purpose = keys.Purpose
    gen = _init_player(config.gen, keys.step_key(key, purpose.INIT_GEN, 0), config.gen_opt, z, cond)
    disc = _init_player(
        config.disc,
        keys.step_key(key, purpose.INIT_DISC, 0),
        config.disc_opt,
        batch.real,
        cond,
    )
    zero = jnp.zeros((), jnp.int32)
    ema = None if schedules.is_off(config.ema.half_life) else variables(gen)
    return TrainState(
        zero,
        key,
        gen,
        disc,
        ema,
        augment=adaptive.init(config.augment),
        mean_path=None if schedules.is_off(config.objective.path_length) else jnp.zeros(()),
        skipped=zero,
        skipped_in_row=zero,
    )
