"""A phase before the game: the generator learns by likelihood, and the critic rests.

`make_train_step` is that of gan_jax/step.py, or one that does this in the first steps instead; the
phase follows from the state's step, so a run is resumed in either.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax import lax

from gan_jax import optimizers, schedules, step
from gan_jax.config import Config
from gan_jax.networks.layers import on_axis
from gan_jax.state import Batch, Metrics, Player, TrainState, average
from gan_jax.update import update


def make_train_step(
    config: Config, axis: str | None = None
) -> Callable[[TrainState, Batch], tuple[TrainState, Metrics]]:
    """The train step of `config`, as `step.make_train_step` has it; in the first `pretrain.steps`
    steps an update of the generator for each of the step's n_critic batches.

    Metrics are then the game's with zeros, but for nll, the mean negative log-likelihood of an
    entry of the sequences (nats), gen_grad_norm, before it is clipped, and skipped; in the game nll
    is 0. At the end of the phase the generator's optimiser starts anew, with `gen_opt`.
    """
    play = step.make_train_step(config, axis)
    if not config.pretrain.steps:
        return play
    gen = on_axis(config.gen, axis)

    def learn(state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
        optimizer = _clipped(optimizers.make(config.pretrain.opt, state.step), config.pretrain.clip)

        def one(player: Player, batch: Batch) -> tuple[Player, Metrics]:
            def objective(params: Any, real: Any, cond: Any) -> tuple[jax.Array, tuple]:
                value, changed = gen.apply(
                    {"params": params, **player.stats},
                    *(real, cond),
                    train=True,
                    method="log_likelihood",
                    mutable=[*player.stats],
                )
                nll = -jnp.asarray(value).mean() / real.shape[1]
                return nll, ({**player.stats, **changed}, {"nll": nll})

            size = config.microbatch if config.microbatch < len(batch.real) else 0
            return update(player, objective, optimizer, axis, (batch.real, batch.cond), size)

        player, found = lax.scan(one, state.gen, batch)
        last = state.step + 1 == config.pretrain.steps
        fresh = optimizers.make(config.gen_opt, state.step).init(player.params)
        opt_state = jax.tree.map(
            lambda new, old: jnp.where(last, new, old), fresh, player.opt_state
        )
        player = player.replace(opt_state=opt_state)
        skipped = found["skipped"].max()
        metrics = {"nll": found["nll"].mean(), "gen_grad_norm": found["grad_norm"].mean()}
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
            return state, metrics | {"nll": jnp.float32(0)}

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
