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


def _check_pac_size(config: Config, devices: int) -> int:
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


def _check_networks(config: Config, dataset: Dataset, state: TrainState, pack: int) -> None:
    """Checks, by tracing alone, that the networks fit the data. Raises an error of some kind."""
    n, example = config.batch_size, sources.dummy_examples(dataset, config.batch_size)
    cond = masks.dummy_condition(config.masks, example.real, example.cond)
    empty = [leaf for leaf in jax.tree.leaves((state.gen, state.disc)) if 0 in leaf.shape]
    if empty:
        raise ValueError(f"a width of 0 makes parameters of shape {list(empty[0].shape)}")
    latents = keys.dummy_latents(n, config.prior.dim, config.prior.distribution)
    samples = _output_shape(config.gen, state.gen, latents, cond)
    if samples != example.real.shape:
        ours, theirs = list(samples[1:]), list(example.real.shape[1:])
        raise UserError(f"the generator makes examples of shape {ours}, the data has {theirs}")
    logits = _output_shape(config.disc, state.disc, example.real, cond)
    if logits[:1] != (n // pack,) or len(logits) > 2:
        wanted = f"[{n // pack}], or [{n // pack}, r]"
        raise UserError(f"the discriminator makes logits {list(logits)}: they must be {wanted}")
    symmetric = {"tanh": True, "sigmoid": False}.get(config.gen.out, config.data.symmetric)
    if example.real.ndim == 4 and symmetric != config.data.symmetric:
        raise UserError(
            f"data.symmetric must be {symmetric} with a generator whose output is "
            f"{config.gen.out}, got {config.data.symmetric}"
        )
    for player, network in (("gen", config.gen), ("disc", config.disc)):
        classes, labels = network.classes, dataset.labels
        if classes and config.data.labels and labels is not None and labels.max() >= classes:
            raise UserError(
                f"{player}.classes is {classes}: the data has labels from 0 to {labels.max()}"
            )


def _output_shape(network: Any, player: Player, x: Any, cond: Any) -> tuple[int, ...]:
    def outputs(all_variables: Any, x: Any, cond: Any) -> Any:
        return network.apply(all_variables, x, cond, train=True, mutable=list(player.stats))[0]

    return jax.eval_shape(outputs, variables(player), x, cond).shape


def _check_microbatch(
    config: Config, dataset: Dataset, state: TrainState, devices: int, size: int
) -> None:
    """Checks that no network mixes the examples of a batch. Raises UserError."""
    if not size:
        return
    example = sources.dummy_examples(dataset, config.batch_size)
    cond = masks.dummy_condition(config.masks, example.real, example.cond)
    latents = keys.dummy_latents(config.batch_size, config.prior.dim, config.prior.distribution)
    layers = {
        "gen": microbatch.mixing_layers(config.gen, variables(state.gen), latents, cond),
        "disc": microbatch.mixing_layers(config.disc, variables(state.disc), example.real, cond),
    }
    microbatch.check_layers(config, devices, size, layers)


def initialize(
    config: Config, dataset: Dataset, devices: Sequence[jax.Device], microbatch_size: int = 0
) -> TrainState:
    """Initializes the state before the first step, placed on the devices.

    Args:
        config: The run, or a population.
        dataset: Its data.
        devices: Devices that share each batch.
        microbatch_size: Examples that a device processes at a time, 0 for all.

    Returns:
        The state.

    Raises:
        UserError: If the networks cannot take the data's shapes or labels, or microbatches are
            not exact for the run.
    """
    validate(config)
    pack = _check_pac_size(config, len(devices))
    for member in population.member_configs(
        config
    ):  # a sweep may turn on a term that needs the batch
        microbatch.check_objective(member, len(devices), microbatch_size)
    example = sources.dummy_examples(dataset, config.batch_size)
    try:
        root = keys.root_key(config.seed)
        shapes = jax.eval_shape(lambda key: init_state(config, key, example), root)
        _check_networks(config, dataset, shapes, pack)
        _check_microbatch(config, dataset, shapes, len(devices), microbatch_size)
    except UserError:
        raise
    except (ValueError, TypeError, AssertionError, ZeroDivisionError, FlaxError) as error:
        shape, reason = list(example.real.shape[1:]), str(error)[:300]
        raise UserError(f"the networks cannot take examples of shape {shape}: {reason}") from None
    init = jax.jit(lambda roots: population_state.init_population(config, roots, example))
    return core_devices.replicate(init(population.root_keys(config)), devices)
