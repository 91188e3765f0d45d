"""Latent spaces: how the latents of a generator are sampled, and the images they produce."""

import functools
from typing import Any, Literal, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.tree_util import Partial

from gan_jax.config import Config
from gan_jax.core import keys
from gan_jax.core.errors import UserError
from gan_jax.inference import sampling
from gan_jax.networks import layers, stylegan2

Distribution = Literal["normal", "uniform", "w"]


class LatentSpace(NamedTuple):
    """A generator in evaluation mode, as a function of latents [m, d]."""

    generate: Partial
    """Generator, (latents [m, d], labels int32 [m] or None) -> images float32 [m, h, w, c]. The
    range of the data is [0, 1]."""
    sample: Partial
    """Sampler, (keys [m], labels [m] or None) -> latents float32 [m, d]."""
    distribution: Distribution
    """Distribution of the latents: normal (N(0, 1)), uniform (on [-1, 1]), or w (outputs of a
    mapping network)."""
    classes: int = 0
    """Number of classes that `generate` is conditioned on; 0 for none."""
    mean: jax.Array | None = None
    """Mean w [d]; None in Z."""


def make_latent_space(
    config: Config, variables: Any, name: Literal["z", "w"] | None = None
) -> LatentSpace:
    """Return the latent space Z or W of a generator.

    In W, all layers share one w, as in StyleGAN2's own projection (1912.04958, app. D). The noise
    images are 0, which is their mean, and the config's `truncation` is not applied.

    Args:
        config: Config of the run.
        variables: Variables of its generator.
        name: "z" or "w"; None for W where the generator has it (StyleGAN2), else Z.

    Returns:
        The latent space.

    Raises:
        UserError: If the run does not generate images, is conditioned on more than labels, or has
            no W.
    """
    refuse_conditions(config)
    gen, classes = config.gen, sampling.num_classes(config)
    has_w = gen.latent is not None
    if name == "w" and not has_w:
        raise UserError(f"space must be 'z' for {_name(gen)} (only StyleGAN2 has w), got 'w'")
    label = jnp.zeros(1, jnp.int32) if classes else None
    apply = functools.partial(gen.apply, train=False)
    z = keys.dummy_latents(1, config.prior.dim, config.prior.distribution)
    example: Any = jax.eval_shape(apply, variables, z, label)
    if example.ndim != 4 or config.prior.distribution == "key":
        raise UserError(
            f"{config.name} must generate images, got examples of shape {list(example.shape[1:])}"
        )
    symmetric = config.data.symmetric
    if has_w and name != "z":
        generate = Partial(functools.partial(_generate_from_w, gen, symmetric), variables)
        sample = Partial(functools.partial(_sample_w, gen), variables)
        return LatentSpace(generate, sample, "w", classes, variables["moments"]["w_mean"])
    generate = Partial(functools.partial(_generate_from_z, gen, symmetric), variables)
    sample = Partial(functools.partial(_sample_z, config.prior.dim, config.prior.distribution))
    return LatentSpace(generate, sample, config.prior.distribution, classes)


def refuse_conditions(config: Config) -> None:
    """Raise UserError if the generator is conditioned on more than labels."""
    if config.masks.kinds or config.data.cond:
        raise UserError(f"{config.name} is conditioned on more than labels")


def _name(gen: nn.Module) -> str:
    return f"{type(gen).__module__.rpartition('.')[2]}.{type(gen).__name__}"


def _to_unit_range(x: jax.Array, symmetric: bool) -> jax.Array:
    x = jnp.asarray(x, jnp.float32)
    return (x + 1) / 2 if symmetric else x


def _generate_from_z(
    gen: nn.Module, symmetric: bool, variables: Any, z: jax.Array, cond: Any
) -> jax.Array:
    images: Any = gen.apply(variables, z, cond, train=False)
    return _to_unit_range(images, symmetric)


def _sample_z(dim: int, distribution: str, example_keys: jax.Array, cond: Any) -> jax.Array:  # noqa: ARG001
    return keys.latents(example_keys, dim, distribution)


def map_w(gen: Any, variables: Any, z: jax.Array, cond: Any) -> jax.Array:
    """Apply StyleGAN2's mapping network.

    Args:
        gen: Generator, or the functions of an exported file.
        variables: Variables of the generator.
        z: The first `gen.latent` numbers of z, float32 [n, latent].
        cond: Class labels, int32 [n], or None.

    Returns:
        w, float32 [n, d].
    """
    if not isinstance(gen, stylegan2.Generator):
        return gen.map_w(variables, z, cond)  # an exported file's function
    mapping = stylegan2.Mapping(gen.w_dim, gen.mapping_layers)
    labels = layers.one_hot(cond, gen.classes, z.shape[0])
    w: Any = mapping.apply({"params": variables["params"]["Mapping_0"]}, z, labels)
    return w


def synthesize_from_w(gen: Any, variables: Any, w: jax.Array, cond: Any) -> jax.Array:
    """Apply StyleGAN2's synthesis network, with one w in all layers and without noise.

    Args:
        gen: Generator, or the functions of an exported file.
        variables: Variables of the generator.
        w: Latents, float32 [n, d].
        cond: Class labels, int32 [n], or None.

    Returns:
        Images, float32 [n, h, w, c], in the range of the network.
    """
    if not isinstance(gen, stylegan2.Generator):
        return gen.synthesize_from_w(variables, w, cond)  # an exported file's function
    # The generator takes z. Perturbations are added to the w of z = 0.
    zero = jnp.zeros((w.shape[0], gen.z_dim))
    offset = w - map_w(gen, variables, zero[:, : gen.latent], cond)
    offset = jnp.broadcast_to(offset[:, None], (w.shape[0], *gen.w_shape))
    perturbed = {**variables, "perturbations": {"w": offset}}
    images: Any = gen.clone(truncation=1.0).apply(perturbed, zero, cond, train=False)
    return jnp.asarray(images, jnp.float32)


def _generate_from_w(
    gen: Any, symmetric: bool, variables: Any, w: jax.Array, cond: Any
) -> jax.Array:
    return _to_unit_range(synthesize_from_w(gen, variables, w, cond), symmetric)


def _sample_w(gen: Any, variables: Any, example_keys: jax.Array, cond: Any) -> jax.Array:
    return map_w(gen, variables, keys.latents(example_keys, gen.latent, "normal"), cond)
