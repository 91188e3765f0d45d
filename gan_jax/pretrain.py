"""A phase before the game: the generator learns alone, and the critic rests.

By likelihood, where it has one; one that is told much of the example, by reconstruction, the mean
absolute difference to it (after Ledig et al. 2017, 1609.04802, sec. 3.2, whose squares blur more),
whatever the weight of that term is in the game.

`make_train_step` is that of gan_jax/step.py, or one that does this in the first steps instead; the
phase follows from the state's step, so a run is resumed in either.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax import lax

from gan_jax import keys, masks, optimizers, schedules, step
from gan_jax.config import Config
from gan_jax.keys import Purpose
from gan_jax.networks.layers import on_axis
from gan_jax.state import Batch, Metrics, Player, TrainState, average
from gan_jax.update import update


def make_train_step(
    config: Config, axis: str | None = None
) -> Callable[[TrainState, Batch], tuple[TrainState, Metrics]]:
    """The train step of `config`, as `step.make_train_step` has it; in the first `pretrain.steps`
    steps an update of the generator for each of the step's n_critic batches.

    Metrics are then the game's with zeros, but for gen_grad_norm, before it is clipped, skipped,
    and what is minimised: nll, the mean negative log-likelihood of an entry of the sequences
    (nats), which in the game is 0; or l1, which in the game is that of its own examples. At the end
    of the phase the generator's optimiser starts anew, with `gen_opt`.
    """
    play = step.make_train_step(config, axis)
    if not config.pretrain.steps:
        return play
    gen, likely = on_axis(config.gen, axis), hasattr(config.gen, "log_likelihood")
    metric = "nll" if likely else "l1"

    def learn(state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
        optimizer = _clipped(optimizers.make(config.pretrain.opt, state.step), config.pretrain.clip)

        def draw(purpose: Purpose, iteration: jax.Array) -> jax.Array:
            own = keys.step_key(state.key, purpose, state.step, iteration)
            return keys.example_keys(own, batch.real.shape[1], axis)

        def likelihood(params: Any, stats: Any, real: Any, cond: Any, _: Any) -> tuple:
            value, changed = gen.apply(
                {"params": params, **stats},
                *(real, cond),
                train=True,
                method="log_likelihood",
                mutable=[*stats],
            )
            return -jnp.asarray(value).mean() / real.shape[1], {**stats, **changed}

        def reconstruction(params: Any, stats: Any, real: Any, cond: Any, noise: Any) -> tuple:
            z = keys.latents(noise, config.z_dim, config.latent)
            fake, changed, _ = step.apply(gen, params, stats, z, cond)
            return jnp.abs(fake - real).mean(), changed

        def one(player: Player, inputs: tuple) -> tuple[Player, Metrics]:
            iteration, real, cond = inputs
            cond = masks.condition(config.masks, real, cond, draw(Purpose.MASK, iteration))

            def objective(params: Any, *examples: Any) -> tuple[jax.Array, tuple]:
                measure = likelihood if likely else reconstruction
                value, stats = measure(params, player.stats, *examples)
                return value, (stats, {metric: value})

            size = config.microbatch if config.microbatch < len(real) else 0
            examples = real, cond, draw(Purpose.GEN_Z, iteration)
            return update(player, objective, optimizer, axis, examples, size)

        each = jnp.arange(config.n_critic), batch.real, batch.cond
        player, found = lax.scan(one, state.gen, each)
        last = state.step + 1 == config.pretrain.steps
        fresh = optimizers.make(config.gen_opt, state.step).init(player.params)
        opt_state = jax.tree.map(
            lambda new, old: jnp.where(last, new, old), fresh, player.opt_state
        )
        player = player.replace(opt_state=opt_state)
        skipped = found["skipped"].max()
        metrics = {metric: found[metric].mean(), "gen_grad_norm": found["grad_norm"].mean()}
        bad = skipped.astype(jnp.int32)
        state = state.replace(
            step=state.step + 1,
            gen=player,
            ema=average(config, state.ema, player, state.step + 1),
            skipped=state.skipped + bad,
            skipped_in_row=(state.skipped_in_row + bad) * bad,
        )
        return state, metrics | {"skipped": skipped}

    def train_step(state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
        of_game = jax.eval_shape(play, state, batch)[1]
        none = {name: jnp.zeros(row.shape, row.dtype) for name, row in of_game.items()}

        def learning(state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
            state, metrics = learn(state, batch)
            return state, none | metrics

        def playing(state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
            state, metrics = play(state, batch)
            return state, {metric: jnp.float32(0)} | metrics

        first = state.step < config.pretrain.steps
        return lax.cond(first, learning, playing, state, batch)

    return train_step


def _clipped(optimizer: optax.GradientTransformation, limit: float) -> optax.GradientTransformation:
    """The optimiser, given gradients of a norm of at most `limit`, 0 for any; its state is the
    same."""
    if schedules.is_off(limit):
        return optimizer
    most = jnp.where(limit == 0, jnp.inf, limit)  # 0 in a sweep

    def clipped(updates: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        factor = jnp.minimum(1.0, most / jnp.maximum(optax.tree.norm(updates), 1e-12))
        return optimizer.update(jax.tree.map(lambda leaf: leaf * factor, updates), state, params)

    return optax.GradientTransformation(optimizer.init, clipped)
