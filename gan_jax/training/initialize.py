"""Initialization of the training state, with checks that networks, data and devices fit."""

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
    """Return the number of examples per logit (gan_jax/networks/pacgan.py). Raises UserError."""
    pac_size = config.disc.pac_size
    if pac_size < 1:
        raise UserError(f"the pack size of disc must be at least 1, got {pac_size}")
    if config.batch_size % (pac_size * devices):
        factors = "the pack size" + (f" times {devices} devices" if devices > 1 else "")
        raise UserError(
            f"batch_size must be a multiple of {pac_size * devices}, {factors}, "
            f"got {config.batch_size}"
        )
    return pac_size


def _check_networks(config: Config, dataset: Dataset, state: TrainState, pac_size: int) -> None:
    """Check, by tracing alone, that the networks fit the data. Raises errors of several types."""
    n, example = config.batch_size, sources.dummy_examples(dataset, config.batch_size)
    cond = masks.dummy_condition(config.masks, example.real, example.cond)
    empty = [leaf for leaf in jax.tree.leaves((state.gen, state.disc)) if 0 in leaf.shape]
    if empty:
        raise ValueError(f"a width of 0 gives parameters of shape {list(empty[0].shape)}")
    latents = keys.dummy_latents(n, config.prior.dim, config.prior.distribution)
    samples = _output_shape(config.gen, state.gen, latents, cond)
    if samples != example.real.shape:
        shapes = f"{list(example.real.shape[1:])}, got {list(samples[1:])}"
        raise UserError(f"the shape of samples must be that of the data, {shapes}")
    logits = _output_shape(config.disc, state.disc, example.real, cond)
    if logits[:1] != (n // pac_size,) or len(logits) > 2:
        allowed = f"[{n // pac_size}] or [{n // pac_size}, r]"
        raise UserError(f"the shape of logits must be {allowed}, got {list(logits)}")
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
                f"{player}.classes must be at least {labels.max() + 1}, the number of labels, "
                f"got {classes}"
            )


def _output_shape(network: Any, player: Player, x: Any, cond: Any) -> tuple[int, ...]:
    def apply(all_variables: Any, x: Any, cond: Any) -> Any:
        return network.apply(all_variables, x, cond, train=True, mutable=list(player.stats))[0]

    return jax.eval_shape(apply, variables(player), x, cond).shape


def _check_microbatch(
    config: Config, dataset: Dataset, state: TrainState, devices: int, size: int
) -> None:
    """Check that no network mixes examples if microbatches are used. Raises UserError."""
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
    """Initialize the state before the first step, replicated on the devices.

    Args:
        config: Config of the run, which may be a population.
        dataset: Data set of the run.
        devices: Devices that share each batch.
        microbatch_size: Examples per device and microbatch; 0 for the whole batch.

    Returns:
        The state.

    Raises:
        UserError: If the networks do not accept the shapes or labels of the data, or microbatches
            are not exact for the run.
    """
    validate(config)
    pac_size = _check_pac_size(config, len(devices))
    for member in population.member_configs(config):  # a sweep may enable a term
        microbatch.check_objective(member, len(devices), microbatch_size)
    example = sources.dummy_examples(dataset, config.batch_size)
    try:
        root = keys.root_key(config.seed)
        shapes = jax.eval_shape(lambda key: init_state(config, key, example), root)
        _check_networks(config, dataset, shapes, pac_size)
        _check_microbatch(config, dataset, shapes, len(devices), microbatch_size)
    except UserError:
        raise
    except (ValueError, TypeError, AssertionError, ZeroDivisionError, FlaxError) as error:
        shape, reason = list(example.real.shape[1:]), str(error)[:300]
        raise UserError(f"the networks do not accept examples of shape {shape}: {reason}") from None
    init = jax.jit(lambda root_keys: population_state.init_population(config, root_keys, example))
    return core_devices.replicate(init(population.root_keys(config)), devices)
