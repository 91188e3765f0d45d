"""The algorithm: n_critic updates of the discriminator, then one of the generator.

`make_train_step(config)` returns train_step(state, batch) -> (state, metrics), a pure function that
`jit` compiles, `scan` repeats, `vmap` runs for many GANs and `pmap` shards (gan_jax/parallel.py).
With `axis`, the name of a mapped device axis, each device holds its slice of the batch and all end
with the same state: logits are gathered, so a loss sees the whole batch; gradients are averaged,
and metrics with them.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from gan_jax import augment, keys, losses, masks, optimizers, path_length, penalties, schedules
from gan_jax.config import Config
from gan_jax.keys import Purpose
from gan_jax.networks.layers import on_axis
from gan_jax.state import Batch, Metrics, TrainState, average
from gan_jax.update import apart, lazy_update, merged, update


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
    every = 1 if schedules.is_off(config.path_length) else config.path_length_every
    classify = getattr(config.disc, "auxiliary", False)
    pack = getattr(config.disc, "pack", 1)
    draws = getattr(config.disc, "draws", False)

    def train_step(state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
        step, n = state.step, batch.real.shape[1]
        size = config.microbatch if config.microbatch < n else 0

        def draw(purpose: Purpose, iteration: jax.Array | int = 0) -> jax.Array:
            return keys.example_keys(keys.step_key(state.key, purpose, step, iteration), n, axis)

        def condition(real: jax.Array, cond: Any, iteration: jax.Array | int) -> Any:
            return masks.condition(config.masks, real, cond, draw(Purpose.MASK, iteration))

        def generate(params: Any, noise: jax.Array, cond: Any) -> tuple[jax.Array, Any]:
            z = keys.latents(noise, config.z_dim, config.latent)
            return apply(gen, params, state.gen.stats, z, cond)[:2]

        def pretend(noise: jax.Array, cond: Any) -> jax.Array:
            return generate(state.gen.params, noise, cond)[0]

        def views(p: Any, iteration: jax.Array | int) -> tuple[tuple, tuple]:
            real, fake = Purpose.AUGMENT, Purpose.AUGMENT_FAKE
            return (draw(real, iteration), p), (draw(fake, iteration), p)

        def judge(params: Any, stats: Any, x: jax.Array, cond: Any, view: tuple) -> tuple:
            """Of examples as the critic sees them, augmented: logits, new statistics, what else it
            hands out. A critic that draws is given the keys of the view too."""
            x = augment.augment(config.augment, x, *view, symmetric=config.data.symmetric)
            return apply(disc, params, stats, x, cond, *view[: int(draws)])

        def update_disc(players: tuple, inputs: tuple) -> tuple[tuple, Metrics]:
            (player, adapted), (iteration, real, cond) = players, inputs
            cond = condition(real, cond, iteration)
            fake = apart(pretend, size, draw(Purpose.CRITIC_Z, iteration), cond)
            p = augment.probability(config.augment, adapted, step)
            examples = real, fake, cond, views(p, iteration), draw(Purpose.PENALTY, iteration)

            def adversarial(params: Any, real: Any, fake: Any, cond: Any, views: Any, _: Any):
                real_view, fake_view = views
                real_logits, stats, extras = judge(params, player.stats, real, cond, real_view)
                fake_logits, stats, _ = judge(params, stats, fake, cond, fake_view)
                real_logits, fake_logits = _gather(real_logits, axis), _gather(fake_logits, axis)
                value = loss.disc(real_logits, fake_logits)
                metrics = {"real_logit": real_logits.mean(), "fake_logit": fake_logits.mean()}
                metrics |= {"real_sign": jnp.sign(real_logits).mean(), "disc_loss": value}
                if classify:
                    metrics["class_loss"] = losses.cross_entropy(extras["class_logits"], cond)
                    value += schedules.at(config.auxiliary_disc, step) * metrics["class_loss"]
                return value, (stats, metrics)

            def penalty(params: Any, real: Any, fake: Any, cond: Any, views: Any, noise: Any):
                def critic(x: jax.Array) -> jax.Array:
                    return judge(params, player.stats, x, cond, views[0])[0]

                value, terms = jnp.float32(0), {}
                for name, weight in weights.items():
                    terms[name] = penalties.PENALTIES[name](critic, real, fake, noise, axis, pack)
                    value += lazy * schedules.at(weight, step) * terms[name]
                return value, (player.stats, terms)

            def both(*given: Any) -> tuple:
                value, (stats, metrics) = adversarial(*given)
                extra, (_, terms) = penalty(*given)
                return value + extra, (stats, metrics | terms)

            optimizer = optimizers.make(config.disc_opt, step, lazy)
            each, how = adversarial if lazy > 1 else both, (examples, size)
            player, metrics = update(player, each, optimizer, axis, *how)
            if lazy > 1:
                due = (step * config.n_critic + iteration + 1) % lazy == 0
                player, extra = lazy_update(player, penalty, optimizer, axis, due, [*weights], *how)
                metrics = merged(metrics, extra)
            if not schedules.is_off(config.weight_clip):
                c = jnp.where(config.weight_clip == 0, jnp.inf, config.weight_clip)
                params = jax.tree.map(lambda w: jnp.clip(w, -c, c), player.params)
                player = player.replace(params=params)
            sign = metrics.pop("real_sign")
            if adapted is not None:
                metrics["augment_p"] = jnp.asarray(p)
                adapted = augment.adapt(config.augment, adapted, sign, config.batch_size)
            return (player, adapted), metrics

        (new_disc, adapted), disc_metrics = lax.scan(
            update_disc,
            (state.disc, state.augment),
            (jnp.arange(config.n_critic), batch.real, batch.cond),
        )
        real, cond = jax.tree.map(lambda leaf: leaf[-1], (batch.real, batch.cond))
        cond = condition(real, cond, config.n_critic)
        p = augment.probability(config.augment, adapted, step)
        examples = real, draw(Purpose.GEN_Z), cond, views(p, config.n_critic)

        def fool(params: Any, real: Any, noise: Any, cond: Any, views: Any) -> tuple:
            real_view, fake_view = views
            fake, stats = generate(params, noise, cond)
            fake_logits, _, extras = judge(new_disc.params, new_disc.stats, fake, cond, fake_view)
            real_logits, _, of_real = judge(new_disc.params, new_disc.stats, real, cond, real_view)
            value = loss.gen(_gather(real_logits, axis), _gather(fake_logits, axis))
            metrics = {"gen_loss": value}
            if not schedules.is_off(config.reconstruction):
                metrics["l1"] = jnp.abs(fake - real).mean()
                value += schedules.at(config.reconstruction, step) * metrics["l1"]
            if not schedules.is_off(config.perceptual):
                metrics["perceptual"] = losses.perceptual(extras, of_real)
                value += schedules.at(config.perceptual, step) * metrics["perceptual"]
            if classify:
                metrics["gen_class_loss"] = losses.cross_entropy(extras["class_logits"], cond)
                value += schedules.at(config.auxiliary_gen, step) * metrics["gen_class_loss"]
            return value, (stats, metrics)

        optimizer = optimizers.make(config.gen_opt, step, every)
        new_gen, gen_metrics = update(state.gen, fool, optimizer, axis, examples, size)
        mean_path = state.mean_path
        if mean_path is not None:
            z = keys.latents(draw(Purpose.PATH_LENGTH), config.z_dim, config.latent)
            inputs = z, draw(Purpose.PATH_LENGTH, 1), cond
            new_gen, mean_path, extra = path_length.update(
                config, gen, new_gen, mean_path, step, inputs, axis
            )
            gen_metrics = merged(gen_metrics, extra)

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
            augment=adapted,
            mean_path=mean_path,
            skipped=state.skipped + bad,
            skipped_in_row=(state.skipped_in_row + bad) * bad,
        )
        return state, metrics

    return train_step


def apply(module: Any, params: Any, stats: Any, *inputs: Any) -> tuple[jax.Array, Any, Any]:
    """A network in training mode: its float32 output, its new statistics, and by name what else it
    hands out: class logits, features."""
    outputs, changed = module.apply(
        {"params": params, **stats}, *inputs, train=True, mutable=[*stats, "auxiliary"]
    )
    changed = dict(changed)
    extras = changed.pop("auxiliary", {})
    return outputs.astype(jnp.float32), changed, extras


def _gather(logits: jax.Array, axis: str | None) -> jax.Array:
    """The whole batch's logits. The mean of the devices' gradients is then that of their loss."""
    with jax.named_scope("logits_of_all_devices"):
        return lax.all_gather(logits, axis, tiled=True) if axis else logits
