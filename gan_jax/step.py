"""The algorithm: n_critic updates of the discriminator, then one of the generator.

`make_train_step(config)` returns train_step(state, batch) -> (state, metrics), a pure function that
`jit` compiles, `scan` repeats, `vmap` runs for many GANs and `pmap` shards (gan_jax/parallel.py).
With `axis`, the name of a mapped device axis, each device holds its slice of the batch and all end
with the same state: logits are gathered, so a loss sees the whole batch; gradients are averaged.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax import lax

from gan_jax import keys, losses, optimizers, penalties, schedules
from gan_jax.config import Config
from gan_jax.keys import Purpose
from gan_jax.networks.layers import on_axis
from gan_jax.state import Batch, Metrics, Player, TrainState, average

Objective = tuple[jax.Array, tuple[Any, Metrics]]  # value, (new statistics, metrics)


def make_train_step(
    config: Config, axis: str | None = None
) -> Callable[[TrainState, Batch], tuple[TrainState, Metrics]]:
    """The train step of `config`; batch leaves are [n_critic, n, ...], n per device of `axis`.

    Metrics are float32 scalars, the critic's a mean over its updates; skipped is 1 where an update
    of the step was not finite and left its player as it was.
    """
    gen, disc = on_axis(config.gen, axis), on_axis(config.disc, axis)
    loss = losses.gan_loss(config.loss, config.label_smoothing)
    weights = {name: getattr(config.penalties, name) for name in penalties.PENALTIES}
    weights = {name: w for name, w in weights.items() if not schedules.is_off(w)}
    lazy = config.penalty_every if weights else 1

    def train_step(state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
        step, n = state.step, batch.real.shape[1]

        def draw(purpose: Purpose, iteration: jax.Array | int = 0) -> jax.Array:
            return keys.example_keys(keys.step_key(state.key, purpose, step, iteration), n, axis)

        def generate(params: Any, noise: jax.Array, cond: Any) -> tuple[jax.Array, Any]:
            z = keys.latents(noise, config.z_dim, config.latent)
            return _apply(gen, params, state.gen.stats, z, cond)

        def update_disc(player: Player, inputs: tuple) -> tuple[Player, Metrics]:
            iteration, real, cond = inputs
            fake, _ = generate(state.gen.params, draw(Purpose.CRITIC_Z, iteration), cond)

            def adversarial(params: Any) -> Objective:
                real_logits, stats = _apply(disc, params, player.stats, real, cond)
                fake_logits, stats = _apply(disc, params, stats, fake, cond)
                real_logits, fake_logits = _gather(real_logits, axis), _gather(fake_logits, axis)
                value = loss.disc(real_logits, fake_logits)
                logits = {"real_logit": real_logits.mean(), "fake_logit": fake_logits.mean()}
                return value, (stats, {"disc_loss": value, **logits})

            def penalty(params: Any) -> Objective:
                def critic(x: jax.Array) -> jax.Array:
                    return _apply(disc, params, player.stats, x, cond)[0]

                value, terms, noise = jnp.float32(0), {}, draw(Purpose.PENALTY, iteration)
                for name, weight in weights.items():
                    terms[name] = penalties.PENALTIES[name](critic, real, fake, noise, axis)
                    value += lazy * schedules.at(weight, step) * terms[name]
                return value, (player.stats, terms)

            def both(params: Any) -> Objective:
                value, (stats, metrics) = adversarial(params)
                extra, (_, terms) = penalty(params)
                return value + extra, (stats, metrics | terms)

            optimizer = optimizers.make(config.disc_opt, step, lazy)
            if lazy == 1:
                player, metrics = _update(player, both, optimizer, axis)
            else:  # the penalties are due every `lazy` updates, in an update of their own
                player, metrics = _update(player, adversarial, optimizer, axis)
                due = (step * config.n_critic + iteration + 1) % lazy == 0
                none = {name: jnp.float32(0) for name in (*weights, "grad_norm", "skipped")}
                player, extra = lax.cond(
                    due,
                    lambda player: _update(player, penalty, optimizer, axis),
                    lambda player: (player, none),
                    player,
                )
                skipped = jnp.maximum(metrics["skipped"], extra["skipped"])
                metrics = extra | metrics | {"skipped": skipped}
            if not schedules.is_off(config.weight_clip):
                c = jnp.where(config.weight_clip == 0, jnp.inf, config.weight_clip)
                params = jax.tree.map(lambda w: jnp.clip(w, -c, c), player.params)
                player = player.replace(params=params)
            return player, metrics

        new_disc, disc_metrics = lax.scan(
            update_disc, state.disc, (jnp.arange(config.n_critic), batch.real, batch.cond)
        )
        real, cond = jax.tree.map(lambda leaf: leaf[-1], (batch.real, batch.cond))

        def fool(params: Any) -> Objective:
            fake, stats = generate(params, draw(Purpose.GEN_Z), cond)
            fake_logits, _ = _apply(disc, new_disc.params, new_disc.stats, fake, cond)
            real_logits, _ = _apply(disc, new_disc.params, new_disc.stats, real, cond)
            value = loss.gen(_gather(real_logits, axis), _gather(fake_logits, axis))
            return value, (stats, {"gen_loss": value})

        optimizer = optimizers.make(config.gen_opt, step)
        new_gen, gen_metrics = _update(state.gen, fool, optimizer, axis)

        skipped = jnp.maximum(disc_metrics.pop("skipped").max(), gen_metrics.pop("skipped"))
        metrics = {name: values.mean() for name, values in disc_metrics.items()}
        metrics["disc_grad_norm"] = metrics.pop("grad_norm")
        gen_metrics["gen_grad_norm"] = gen_metrics.pop("grad_norm")
        metrics |= gen_metrics | {"skipped": skipped}
        bad = skipped.astype(jnp.int32)
        state = state.replace(
            step=step + 1,
            gen=new_gen,
            disc=new_disc,
            ema=average(config, state.ema, new_gen, step + 1),
            skipped=state.skipped + bad,
            skipped_in_row=(state.skipped_in_row + bad) * bad,
        )
        return state, lax.pmean(metrics, axis) if axis else metrics

    return train_step


def _apply(module: Any, params: Any, stats: Any, *inputs: Any) -> tuple[jax.Array, Any]:
    """A network in training mode: its float32 output and its new statistics."""
    outputs, stats = module.apply(
        {"params": params, **stats}, *inputs, train=True, mutable=list(stats)
    )
    return outputs.astype(jnp.float32), dict(stats)


def _gather(logits: jax.Array, axis: str | None) -> jax.Array:
    """The whole batch's logits. The mean of the devices' gradients is then that of their loss."""
    return lax.all_gather(logits, axis, tiled=True) if axis else logits


def _update(
    player: Player, objective: Callable, optimizer: optax.GradientTransformation, axis: str | None
) -> tuple[Player, Metrics]:
    """One update of one player; if anything of it is not finite, the player as it was."""
    (_, (stats, metrics)), grads = jax.value_and_grad(objective, has_aux=True)(player.params)
    grads = lax.pmean(grads, axis) if axis else grads
    updates, opt_state = optimizer.update(grads, player.opt_state, player.params)
    updated = Player(optax.apply_updates(player.params, updates), stats, opt_state)
    norm = optax.tree.norm(grads)
    finite = jnp.isfinite(norm) & jnp.isfinite(optax.tree.norm((updated.params, stats)))
    player = jax.tree.map(lambda new, old: jnp.where(finite, new, old), updated, player)
    return player, metrics | {"grad_norm": norm, "skipped": (~finite).astype(jnp.float32)}
