"""All that changes during training, in one pytree; and the batch that a step eats."""

from typing import Any

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp

from gan_jax.config import Config, Optimizer, schedules
from gan_jax.core import keys
from gan_jax.data import masks
from gan_jax.data.batch import Batch
from gan_jax.training import optimizers
from gan_jax.training.augment import adaptive
from gan_jax.training.augment.adaptive import AugmentState

Metrics = dict[str, jax.Array]


class Player(flax.struct.PyTreeNode):
    """One network's half of the game."""

    params: Any
    stats: Any
    """Every collection of variables but the parameters: batch norm's, spectral norm's u, ..."""
    opt_state: Any


class TrainState(flax.struct.PyTreeNode):
    """A run at one step. Whoever has it, the config and the data can go on with the run."""

    step: jax.Array
    """Train steps done, int32."""
    key: jax.Array
    """The run's root key; it never changes (see gan_jax/core/keys.py)."""
    gen: Player
    disc: Player
    ema: Any
    """Moving average of the generator's variables; None where the config asks for none."""
    augment: AugmentState | None
    """p of an adaptive augmentation, and what it follows; None where p does not adapt."""
    mean_path: jax.Array | None
    """The length that path length regularisation asks for, float32; None without it."""
    skipped: jax.Array
    """Steps with a non-finite update, in all, int32: such an update changes nothing."""
    skipped_in_row: jax.Array
    """Of these, the latest ones without a good step between, int32."""


def variables(player: Player) -> dict[str, Any]:
    """What `module.apply` takes."""
    return {"params": player.params, **player.stats}


def generator_variables(state: TrainState) -> dict[str, Any]:
    """The generator to sample from: its moving average where there is one."""
    return variables(state.gen) if state.ema is None else state.ema


def update_ema(config: Config, ema: Any, gen: Player, step: jax.Array) -> Any:
    """The moving average after `step` steps: towards the generator's variables by
    1 - 1/2^(batch / half-life). Karras et al. 2018 (1710.10196), sec. 5."""
    if ema is None:
        return None
    half_life = schedules.value_at(config.ema.half_life, step, config.batch_size)
    if not schedules.is_off(config.ema.ramp):
        ramp = jnp.where(config.ema.ramp == 0, jnp.inf, config.ema.ramp)
        seen = step.astype(jnp.float32) * config.batch_size
        half_life = jnp.minimum(half_life, ramp * seen)
    decay = 0.5 ** (config.batch_size / jnp.maximum(half_life, 1e-6))
    return jax.tree.map(lambda old, now: now + decay * (old - now), ema, variables(gen))


def _init_player(module: nn.Module, key: jax.Array, optimizer: Optimizer, *inputs: Any) -> Player:
    stats = dict(module.init(key, *inputs, train=False))
    params = stats.pop("params")
    return Player(
        params, stats, optimizers.make_optimizer(schedules.resolve(optimizer, 0)).init(params)
    )


def init_state(config: Config, key: jax.Array, batch: Batch) -> TrainState:
    """The state before the first step. Of `batch` (leaves [n, ...]) only shapes and dtypes count.

    Run it under `jax.jit`: outside, `ema` would share its buffers with the generator's parameters,
    which a step that donates its state cannot have.
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
    smooth = not schedules.is_off(config.objective.path_length)
    return TrainState(
        zero,
        key,
        gen,
        disc,
        ema,
        augment=adaptive.init(config.augment),
        mean_path=jnp.zeros(()) if smooth else None,
        skipped=zero,
        skipped_in_row=zero,
    )
