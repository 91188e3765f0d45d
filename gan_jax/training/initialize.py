"""The state before the first step; and whether the networks can take the data at all."""

from collections.abc import Sequence
from typing import Any

import jax
from flax.errors import FlaxError

from gan_jax.config import Config, population
from gan_jax.config.validation import validate
from gan_jax.core import devices as core_devices
from gan_jax.core import keys
from gan_jax.core.errors import UserError
from gan_jax.data import masks, sources
from gan_jax.data.sources import Dataset
from gan_jax.training import microbatch, population_state
from gan_jax.training.state import Player, TrainState, init_state, variables


def _check_pack(config: Config, devices: int) -> int:
    """How many examples the discriminator judges at once (gan_jax/networks/pacgan.py)."""
    pack = config.disc.pack
    if pack < 1:
        raise UserError(f"disc.pack is {pack}: it must be at least 1")
    if config.batch_size % (pack * devices):
        each = f" on each of {devices} devices" if devices > 1 else ""
        raise UserError(
            f"batch_size is {config.batch_size}: it must be made of whole packs of {pack}{each}"
        )
    return pack


def _check_networks(
    config: Config, dataset: Dataset, state: TrainState, pack: int, devices: int
) -> None:
    """Raises an error of some kind if the networks do not fit the data; nothing is computed."""
    n, example = config.batch_size, sources.example(dataset, config.batch_size)
    known = masks.example(config.masks, example.real, example.cond)
    empty = [leaf for leaf in jax.tree.leaves((state.gen, state.disc)) if 0 in leaf.shape]
    if empty:
        raise ValueError(f"a width of 0 makes parameters of shape {list(empty[0].shape)}")

    def shape(module: Any, player: Player, x: Any) -> tuple[int, ...]:
        def outputs(all_variables: Any, x: Any, cond: Any) -> Any:
            return module.apply(all_variables, x, cond, train=True, mutable=list(player.stats))[0]

        return jax.eval_shape(outputs, variables(player), x, known).shape

    made = shape(config.gen, state.gen, keys.no_latents(n, config.z_dim, config.latent))
    if made != example.real.shape:
        made, given = list(made[1:]), list(example.real.shape[1:])
        raise UserError(f"the generator makes examples of shape {made}, the data has {given}")
    logits = shape(config.disc, state.disc, example.real)
    if logits[:1] != (n // pack,) or len(logits) > 2:
        wanted = f"[{n // pack}], or [{n // pack}, r]"
        raise UserError(f"the discriminator makes logits {list(logits)}: they must be {wanted}")
    if config.microbatch:
        z = keys.no_latents(n, config.z_dim, config.latent)
        named = {
            "gen": microbatch.mixing(config.gen, variables(state.gen), z, known),
            "disc": microbatch.mixing(config.disc, variables(state.disc), example.real, known),
        }
        microbatch.check_layers(config, devices, named)
    for player, module in (("gen", config.gen), ("disc", config.disc)):
        classes, labels = module.classes, dataset.labels
        if classes and config.data.labels and labels is not None and labels.max() >= classes:
            raise UserError(
                f"{player}.classes is {classes}: the data has labels from 0 to {labels.max()}"
            )


def start(config: Config, dataset: Dataset, devices: Sequence[jax.Device]) -> TrainState:
    """The state before the first step, placed on the devices.

    Raises UserError if the networks cannot take the data's shapes or its labels.
    """
    validate(config)
    how = _check_pack(config, len(devices)), len(devices)
    for member in population.members(config):  # a sweep may switch on what cannot be cut
        microbatch.check(member, len(devices))
    example = sources.example(dataset, config.batch_size)

    def solo(key: jax.Array) -> TrainState:
        return init_state(config, key, example)

    def everyone(roots: jax.Array) -> TrainState:
        return population_state.init(config, roots, example)

    try:
        _check_networks(config, dataset, jax.eval_shape(solo, keys.root(config.seed)), *how)
    except UserError:
        raise
    except (ValueError, TypeError, AssertionError, ZeroDivisionError, FlaxError) as error:
        given, reason = list(example.real.shape[1:]), str(error)[:300]
        raise UserError(f"the networks cannot take examples of shape {given}: {reason}") from None
    return core_devices.place(jax.jit(everyone)(population.roots(config)), devices)
