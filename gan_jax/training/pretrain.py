"""Pretraining: the first steps of a run update the generator alone.

Generators with a likelihood maximize it. Conditional generators minimize the L1 distance to the
real example, independently of the later weight of that term. This follows Ledig et al. 2017
(1609.04802, sec. 3.2), with L1 instead of their squared distance, because the squared distance
gives blurrier images.

The phase depends on the step in the state alone, so a run can resume in either phase.
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax import Array, lax

from gan_jax.config import Config, schedules
from gan_jax.core.keys import Purpose
from gan_jax.data import masks
from gan_jax.data.batch import Batch
from gan_jax.training import optimizers
from gan_jax.training.gan import Gan
from gan_jax.training.objectives import Loss
from gan_jax.training.state import Metrics, Player, TrainState, update_ema
from gan_jax.training.step import TrainStep, count_step, step_keys
from gan_jax.training.update import update


def with_pretraining(
    train_step: TrainStep, config: Config, axis: str | None = None, *, microbatch: int = 0
) -> TrainStep:
    """Replace the first `pretrain.steps` train steps by updates of the generator alone.

    A pretraining step makes one update for each of its n_critic batches. At the end of the phase
    the state of the generator's optimizer is reset, and `gen_opt` takes over.

    Args:
        train_step: Adversarial train step.
        config: Config of the run, or of a population member with its swept values bound.
        axis: Name of the mapped device axis that shards the batch; None on one device.
        microbatch: Examples per device and microbatch, for gradient accumulation; 0 for the whole
            batch.

    Returns:
        `train_step` itself if there is no pretraining. Otherwise a step that adds a metric: `nll`,
        the mean negative log-likelihood per token in nats, or `l1`. During pretraining all other
        metrics are zero, except `skipped` and `gen_grad_norm`, the norm before clipping. `nll` is
        zero afterwards.
    """
    if not config.pretrain.steps:
        return train_step

    pretraining_step = partial(pretrain_step, config=config, axis=axis, microbatch=microbatch)

    def pretrain_or_train(state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
        shapes = jax.eval_shape(train_step, state, batch)[1]
        adversarial = {name: jnp.zeros(row.shape, row.dtype) for name, row in shapes.items()}
        pretraining = {_metric(config): jnp.float32(0)}
        return lax.cond(
            state.step < config.pretrain.steps,
            partial(_with_metrics, pretraining_step, adversarial),
            partial(_with_metrics, train_step, pretraining),
            state,
            batch,
        )

    return pretrain_or_train


def pretrain_step(
    state: TrainState, batch: Batch, *, config: Config, axis: str | None, microbatch: int = 0
) -> tuple[TrainState, Metrics]:
    """Train the generator alone for one step.

    Args:
        state: State before the step.
        batch: Batch of the step, leaves [n_critic, n, ...].
        config: Config of the run, or of a population member with its swept values bound.
        axis: Name of the mapped device axis that shards the batch; None on one device.
        microbatch: Examples per device and microbatch, for gradient accumulation; 0 for the whole
            batch.

    Returns:
        The state after the step, and the metrics of the phase.
    """
    gan = Gan(schedules.resolve(config, state.step, config.batch_size), axis, microbatch)
    iterations = jnp.arange(config.n_critic)
    gen, metrics = lax.scan(partial(_update, gan, state), state.gen, (iterations, batch))
    is_last = state.step + 1 == config.pretrain.steps
    initial = optimizers.make_optimizer(gan.config.gen_opt).init(gen.params)
    opt_state = jax.tree.map(lambda new, old: jnp.where(is_last, new, old), initial, gen.opt_state)
    gen = gen.replace(opt_state=opt_state)
    skipped = metrics["skipped"].max()
    state = count_step(state, skipped).replace(
        gen=gen, ema=update_ema(config, state.ema, gen, state.step + 1)
    )
    name = _metric(config)
    return state, {
        name: metrics[name].mean(),
        "gen_grad_norm": metrics["grad_norm"].mean(),
        "skipped": skipped,
    }


def likelihood_loss(
    params: Any, real: Array, cond: Any, latent_keys: Array, *, gan: Gan, stats: Any
) -> Loss:
    """Compute the mean negative log-likelihood per token, in nats.

    Args:
        params: Parameters of the generator.
        real: Real sequences, one-hot [n, length, vocabulary].
        cond: Condition of the examples.
        latent_keys: Not used.
        gan: Networks and hyper-parameters at this step.
        stats: Statistics of the generator before the update.

    Returns:
        The loss, the new statistics, and the metrics.
    """
    del latent_keys
    log_likelihood, new_stats = gan.gen.apply(
        {"params": params, **stats},
        real,
        cond,
        train=True,
        method="log_likelihood",
        mutable=[*stats],
    )
    loss = -jnp.asarray(log_likelihood).mean() / real.shape[1]
    return loss, ({**stats, **new_stats}, {"nll": loss})


def reconstruction_loss(
    params: Any, real: Array, cond: Any, latent_keys: Array, *, gan: Gan, stats: Any
) -> Loss:
    """Compute the L1 distance between fakes and the real examples.

    Args:
        params: Parameters of the generator.
        real: Real examples [n, ...].
        cond: Condition of the examples.
        latent_keys: Keys of the latents [n].
        gan: Networks and hyper-parameters at this step.
        stats: Statistics of the generator before the update.

    Returns:
        The loss, the new statistics, and the metrics.
    """
    fake, stats = gan.generate(params, stats, latent_keys, cond)
    loss = jnp.abs(fake - real).mean()
    return loss, (stats, {"l1": loss})


def clip_gradient(
    optimizer: optax.GradientTransformation, max_norm: float
) -> optax.GradientTransformation:
    """Clip the gradient norm to `max_norm` before the optimizer; 0 for no limit.

    The optimizer state keeps its structure.
    """
    if schedules.is_off(max_norm):
        return optimizer
    limit = jnp.where(max_norm == 0, jnp.inf, max_norm)  # a sweep may include 0: no limit

    def clip_and_update(updates: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        factor = jnp.minimum(1.0, limit / jnp.maximum(optax.tree.norm(updates), 1e-12))
        return optimizer.update(jax.tree.map(lambda leaf: leaf * factor, updates), state, params)

    return optax.GradientTransformation(optimizer.init, clip_and_update)


def _metric(config: Config) -> str:
    return "nll" if config.gen.has_likelihood else "l1"


def _with_metrics(
    train_step: TrainStep, defaults: Metrics, state: TrainState, batch: Batch
) -> tuple[TrainState, Metrics]:
    """Add the metrics of the other phase: both branches of a `cond` must have one structure."""
    state, metrics = train_step(state, batch)
    return state, defaults | metrics


def _update(
    gan: Gan, state: TrainState, gen: Player, inputs: tuple[Array, Batch]
) -> tuple[Player, Metrics]:
    iteration, batch = inputs
    keys_for = partial(step_keys, gan, state, batch, iteration=iteration)
    cond = masks.apply_masks(gan.config.masks, batch.real, batch.cond, keys_for(Purpose.MASK))
    loss = likelihood_loss if gan.gen.has_likelihood else reconstruction_loss
    pretrain = gan.config.pretrain
    return update(
        gen,
        partial(loss, gan=gan, stats=gen.stats),
        optimizer=clip_gradient(optimizers.make_optimizer(pretrain.opt), pretrain.clip),
        axis=gan.axis,
        examples=(batch.real, cond, keys_for(Purpose.GEN_Z)),
        microbatch=gan.microbatch(len(batch.real)),
    )
