"""The train step: `n_critic` discriminator updates, then one generator update.

    for i in range(n_critic):                                             # update_disc
        D <- D - lr * grad_D [disc_loss + disc_penalty](x_i, z_i)
    G <- G - lr * grad_G gen_loss(x, z)                                   # update_gen
    G_ema <- moving average of G

The networks are in gan.py, the objectives in objectives.py and the optimizer step in update.py. The
train step is a pure function: `jit` compiles it, a loop repeats it, `vmap` runs it for many GANs
and `pmap` shards its batch (parallel.py). Several devices share a batch: each holds a slice of it,
and all end with the same state. Logits are gathered, so losses cover the whole batch; gradients and
metrics are averaged.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax
from jaxtyping import Key

from gan_jax.config import Config, schedules
from gan_jax.core import keys
from gan_jax.core.keys import Purpose
from gan_jax.data import masks
from gan_jax.data.batch import Batch
from gan_jax.training import optimizers
from gan_jax.training.augment import adaptive
from gan_jax.training.augment.adaptive import AugmentState
from gan_jax.training.gan import Augmentation, Gan
from gan_jax.training.objectives import (
    DiscBatch,
    GenBatch,
    PathBatch,
    disc_loss,
    disc_penalty,
    gen_loss,
    path_length_penalty,
    penalized_disc_loss,
)
from gan_jax.training.state import Metrics, Player, TrainState, update_ema
from gan_jax.training.update import lazy_update, map_in_microbatches, merge_metrics, update

TrainStep = Callable[[TrainState, Batch], tuple[TrainState, Metrics]]


def make_train_step(config: Config, axis: str | None = None, *, microbatch: int = 0) -> TrainStep:
    """Make the adversarial train step of a config.

    Args:
        config: Config of the run, or of a population member with its swept values bound.
        axis: Name of the mapped device axis that shards the batch; None on one device.
        microbatch: Examples per device and microbatch, for gradient accumulation; 0 for the whole
            batch.

    Returns:
        A pure function (state, batch) -> (state, metrics). Batch leaves are [n_critic, n, ...] with
        n examples per device. Metrics are float32 scalars, averaged over the discriminator updates;
        `skipped` is 1 if an update of the step was not finite and left its player unchanged.

    Example:
        >>> from gan_jax.networks import mlp
        >>> from gan_jax.training.state import init_state
        >>> gen, disc = mlp.Generator(shape=(2,), widths=(8,)), mlp.Discriminator(widths=(8,))
        >>> config = Config("example", gen, disc, steps=100, batch_size=16)
        >>> batch = Batch(real=jnp.zeros((16, 2)), cond=None)
        >>> state = jax.jit(init_state, static_argnums=0)(config, keys.root_key(0), batch)
        >>> batches = jax.tree.map(lambda leaf: leaf[None], batch)  # [n_critic, n, ...]
        >>> state, metrics = jax.jit(make_train_step(config))(state, batches)
        >>> int(state.step), sorted(metrics)[:3]
        (1, ['disc_grad_norm', 'disc_loss', 'fake_logit'])
    """

    def train_step(state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
        gan = Gan(schedules.resolve(config, state.step, config.batch_size), axis, microbatch)
        (disc, augment_state), disc_metrics = lax.scan(
            partial(update_disc, gan, state),
            (state.disc, state.augment),
            (jnp.arange(config.n_critic), batch),
        )
        last_batch = jax.tree.map(lambda leaf: leaf[-1], batch)
        gen, mean_path, gen_metrics = update_gen(gan, state, disc, augment_state, last_batch)
        metrics = _step_metrics(disc_metrics, gen_metrics)
        state = count_step(state, metrics["skipped"]).replace(
            gen=gen,
            disc=disc,
            ema=update_ema(config, state.ema, gen, state.step + 1),
            augment=augment_state,
            mean_path=mean_path,
        )
        return state, metrics

    return train_step


def update_disc(
    gan: Gan,
    state: TrainState,
    carry: tuple[Player, AugmentState | None],
    inputs: tuple[Array, Batch],
) -> tuple[tuple[Player, AugmentState | None], Metrics]:
    """Update the discriminator once: the body of the scan over discriminator updates.

    Args:
        gan: Networks and hyper-parameters at this step.
        state: State before the step; its generator samples the fakes.
        carry: Discriminator, and state of the adaptive augmentation.
        inputs: Index of the update within the step, and its batch.

    Returns:
        The carry after the update, and the metrics of the update.
    """
    (disc, augment_state), (iteration, batch) = carry, inputs
    p = adaptive.probability(gan.config.augment, augment_state)
    examples = _disc_batch(gan, state, batch, p, iteration)
    arguments: dict[str, Any] = {
        "optimizer": optimizers.make_optimizer(gan.config.disc_opt, gan.penalty_every),
        "axis": gan.axis,
        "examples": (examples,),
        "microbatch": gan.microbatch(len(batch.real)),
    }
    if gan.penalty_every == 1:
        objective = partial(penalized_disc_loss, gan=gan, stats=disc.stats)
        disc, metrics = update(disc, objective, **arguments)
    else:
        disc, metrics = update(disc, partial(disc_loss, gan=gan, stats=disc.stats), **arguments)
        updates_done = state.step * gan.config.n_critic + iteration + 1
        disc, penalty_metrics = lazy_update(
            disc,
            partial(disc_penalty, gan=gan, stats=disc.stats),
            due=updates_done % gan.penalty_every == 0,
            names=[*gan.penalties],
            **arguments,
        )
        metrics = merge_metrics(metrics, penalty_metrics)
    disc = _clip_weights(gan.config, disc)
    real_sign = metrics.pop("real_sign")
    if augment_state is not None:
        metrics["augment_p"] = jnp.asarray(p)
        batch_size = gan.config.batch_size
        augment_state = adaptive.adapt(gan.config.augment, augment_state, real_sign, batch_size)
    return (disc, augment_state), metrics


def update_gen(
    gan: Gan, state: TrainState, disc: Player, augment_state: AugmentState | None, batch: Batch
) -> tuple[Player, Array | None, Metrics]:
    """Update the generator once, followed by path length regularization if it is enabled.

    Args:
        gan: Networks and hyper-parameters at this step.
        state: State before the step.
        disc: Discriminator after its updates.
        augment_state: State of the adaptive augmentation after the discriminator updates.
        batch: Batch of the last discriminator update, leaves [n, ...].

    Returns:
        The generator, the running mean of path lengths (None without regularization), and metrics.
    """
    p = adaptive.probability(gan.config.augment, augment_state)
    examples = _gen_batch(gan, state, batch, p)
    optimizer = optimizers.make_optimizer(gan.config.gen_opt, gan.path_length_every)
    gen, metrics = update(
        state.gen,
        partial(gen_loss, gan=gan, stats=state.gen.stats, disc=disc),
        optimizer=optimizer,
        axis=gan.axis,
        examples=(examples,),
        microbatch=gan.microbatch(len(batch.real)),
    )
    if state.mean_path is None:
        return gen, None, metrics
    path_keys = partial(step_keys, gan, state, batch, Purpose.PATH_LENGTH)
    paths = PathBatch(
        latents=gan.latents(path_keys(0)), direction_keys=path_keys(1), cond=examples.cond
    )
    due = (state.step + 1) % gan.path_length_every == 0
    gen, path_metrics = lazy_update(
        gen,
        partial(path_length_penalty, gan=gan, stats=gen.stats, mean_path=state.mean_path),
        due=due,
        names=("path_length", "mean_path"),
        optimizer=optimizer,
        axis=gan.axis,
        examples=(paths,),
    )
    applied = due & (path_metrics["skipped"] == 0)
    mean_path = jnp.where(applied, path_metrics["mean_path"], state.mean_path)
    return gen, mean_path, merge_metrics(metrics, path_metrics | {"mean_path": mean_path})


def step_keys(
    gan: Gan, state: TrainState, batch: Batch, purpose: Purpose, iteration: Array | int = 0
) -> Key[Array, " n"]:
    """Derive one key per example of the batch, for one purpose (gan_jax/core/keys.py).

    Args:
        gan: Networks and hyper-parameters at this step.
        state: State before the step.
        batch: Batch of n examples.
        purpose: Purpose of the keys.
        iteration: Index of the update within the step.

    Returns:
        Keys [n]. They depend on the index of each example in the whole batch, over all devices.
    """
    key = keys.step_key(state.key, purpose, state.step, iteration)
    return keys.example_keys(key, len(batch.real), gan.axis)


def count_step(state: TrainState, skipped: Array) -> TrainState:
    """Advance the step counter, and the counters of skipped updates if `skipped` is 1."""
    skipped = skipped.astype(jnp.int32)
    return state.replace(
        step=state.step + 1,
        skipped=state.skipped + skipped,
        skipped_in_row=(state.skipped_in_row + skipped) * skipped,
    )


def _disc_batch(
    gan: Gan, state: TrainState, batch: Batch, p: Array | float, iteration: Array
) -> DiscBatch:
    """Add fakes, masks and keys to the real examples of a discriminator update."""
    keys_for = partial(step_keys, gan, state, batch, iteration=iteration)
    cond = masks.apply_masks(gan.config.masks, batch.real, batch.cond, keys_for(Purpose.MASK))
    generate = partial(gan.generate, state.gen.params, state.gen.stats)
    fake = map_in_microbatches(
        lambda latent_keys, cond: generate(latent_keys, cond)[0],
        gan.microbatch(len(batch.real)),
        keys_for(Purpose.DISC_Z),
        cond,
    )
    return DiscBatch(
        real=batch.real,
        fake=fake,
        cond=cond,
        augment_real=Augmentation(keys_for(Purpose.AUGMENT), p),
        augment_fake=Augmentation(keys_for(Purpose.AUGMENT_FAKE), p),
        penalty_keys=keys_for(Purpose.PENALTY),
    )


def _gen_batch(gan: Gan, state: TrainState, batch: Batch, p: Array | float) -> GenBatch:
    """Add masks and keys to the real examples of the generator update."""
    keys_for = partial(step_keys, gan, state, batch, iteration=gan.config.n_critic)
    return GenBatch(
        real=batch.real,
        latent_keys=step_keys(gan, state, batch, Purpose.GEN_Z),
        cond=masks.apply_masks(gan.config.masks, batch.real, batch.cond, keys_for(Purpose.MASK)),
        augment_real=Augmentation(keys_for(Purpose.AUGMENT), p),
        augment_fake=Augmentation(keys_for(Purpose.AUGMENT_FAKE), p),
    )


def _clip_weights(config: Config, player: Player) -> Player:
    """Clip the weights to [-c, c], as in the original WGAN (1701.07875, alg. 1)."""
    c = config.objective.weight_clip
    if schedules.is_off(c):
        return player
    c = jnp.where(c == 0, jnp.inf, c)  # a sweep may include 0, which disables clipping
    return player.replace(params=jax.tree.map(lambda w: jnp.clip(w, -c, c), player.params))


def _step_metrics(disc: Metrics, gen: Metrics) -> Metrics:
    """Average the discriminator's metrics over its updates, and add the generator's."""
    metrics = {name: values.mean() for name, values in disc.items()} | gen
    del metrics["grad_norm"]
    return metrics | {
        "disc_grad_norm": disc["grad_norm"].mean(),
        "gen_grad_norm": gen["grad_norm"],
        "skipped": jnp.maximum(disc["skipped"].max(), gen["skipped"]),
    }
