"""Pretraining: in its first steps the generator learns alone, and the discriminator rests.

The generator maximizes its likelihood where it has one. Others, which are conditioned on much of
the example, minimize the L1 distance to it, whatever the weight of that term is later (after Ledig
et al. 2017, 1609.04802, sec. 3.2, whose squared distance blurs more).

The phase follows from the state's step, so a run resumes in either.
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
    """Replace the first `pretrain.steps` steps by updates of the generator alone.

    Each makes one update for each of the step's n_critic batches. At the end of the phase the
    generator's optimizer starts anew, with `gen_opt`.

    Args:
        train_step: The adversarial train step.
        config: Config of the run, or of a population member with its swept values bound.
        axis: Name of the mapped device axis that shards the batch; None on one device.
        microbatch: Examples per device and microbatch, for gradient accumulation; 0 for the whole
            batch.

    Returns:
        `train_step` itself without pretraining. Otherwise a step whose metrics are those of
        `train_step` and `nll`, the mean negative log-likelihood of an entry of the sequences in
        nats, or `l1`. During pretraining all are zero but these, `skipped` and `gen_grad_norm`
        before clipping; afterwards `nll` is zero.
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
    last = state.step + 1 == config.pretrain.steps
    fresh = optimizers.make_optimizer(gan.config.gen_opt).init(gen.params)
    opt_state = jax.tree.map(lambda new, old: jnp.where(last, new, old), fresh, gen.opt_state)
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
    """Compute the mean negative log-likelihood of an entry of the sequences, in nats."""
    del latent_keys
    value, changed = gan.gen.apply(
        {"params": params, **stats},
        *(real, cond),
        train=True,
        method="log_likelihood",
        mutable=[*stats],
    )
    loss = -jnp.asarray(value).mean() / real.shape[1]
    return loss, ({**stats, **changed}, {"nll": loss})


def reconstruction_loss(
    params: Any, real: Array, cond: Any, latent_keys: Array, *, gan: Gan, stats: Any
) -> Loss:
    """Compute the L1 distance between fakes and the real examples."""
    fake, stats = gan.generate(params, stats, latent_keys, cond)
    loss = jnp.abs(fake - real).mean()
    return loss, (stats, {"l1": loss})


def clip_gradient(
    optimizer: optax.GradientTransformation, max_norm: float
) -> optax.GradientTransformation:
    """Scale gradients to a norm of at most `max_norm` first; 0: no limit. The state is the same."""
    if schedules.is_off(max_norm):
        return optimizer
    limit = jnp.where(max_norm == 0, jnp.inf, max_norm)  # a swept 0 turns it off

    def clipped(updates: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        factor = jnp.minimum(1.0, limit / jnp.maximum(optax.tree.norm(updates), 1e-12))
        return optimizer.update(jax.tree.map(lambda leaf: leaf * factor, updates), state, params)

    return optax.GradientTransformation(optimizer.init, clipped)


def _metric(config: Config) -> str:
    return "nll" if config.gen.has_likelihood else "l1"


def _with_metrics(
    train_step: TrainStep, defaults: Metrics, state: TrainState, batch: Batch
) -> tuple[TrainState, Metrics]:
    """Add the metrics of the other phase, as both sides of a `cond` return the same structure."""
    state, metrics = train_step(state, batch)
    return state, defaults | metrics


def _update(
    gan: Gan, state: TrainState, gen: Player, inputs: tuple[Array, Batch]
) -> tuple[Player, Metrics]:
    iteration, batch = inputs
    draw = partial(step_keys, gan, state, batch, iteration=iteration)
    cond = masks.apply_masks(gan.config.masks, batch.real, batch.cond, draw(Purpose.MASK))
    loss = likelihood_loss if gan.gen.has_likelihood else reconstruction_loss
    pretrain = gan.config.pretrain
    return update(
        gen,
        partial(loss, gan=gan, stats=gen.stats),
        optimizer=clip_gradient(optimizers.make_optimizer(pretrain.opt), pretrain.clip),
        axis=gan.axis,
        examples=(batch.real, cond, draw(Purpose.GEN_Z)),
        microbatch=gan.microbatch(len(batch.real)),
    )
