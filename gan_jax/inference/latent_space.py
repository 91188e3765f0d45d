"""Where the latents of a generator live: how they are drawn, and what pictures they make."""

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
    """(latents [m, d], labels [m] int32 or None) -> pictures float32 [m, h, w, c]; those of the
    data are in [0, 1]."""
    draw: Partial
    """(keys [m], labels [m] or None) -> latents float32 [m, d]."""
    distribution: Distribution
    """normal: N(0, 1); uniform: on [-1, 1]; w: what a mapping network makes."""
    classes: int = 0
    """Labels that `generate` needs, 0 for none."""
    mean: jax.Array | None = None
    """The mean w [d]."""


def make_latent_space(
    config: Config, variables: Any, name: Literal["z", "w"] | None = None
) -> LatentSpace:
    """The space Z of a run's generator with `variables`, or W where it is StyleGAN2's; by default W
    where there is one.

    In W the layers share one w, as in StyleGAN2's own projection (1912.04958, app. D), the noise
    pictures are 0, their mean, and the config's `truncation` is not applied. Raises UserError where
    the run makes no pictures or is conditioned on more than labels, or has no W.
    """
    refuse_conditions(config)
    gen, classes = config.gen, sampling.num_classes(config)
    mapped = gen.latent is not None
    if name == "w" and not mapped:
        raise UserError(f"space is 'w': {_name(gen)} has no w, only z; StyleGAN2's has")
    label = jnp.zeros(1, jnp.int32) if classes else None
    apply = functools.partial(gen.apply, train=False)
    z = keys.dummy_latents(1, config.prior.dim, config.prior.distribution)
    made: Any = jax.eval_shape(apply, variables, z, label)
    if made.ndim != 4 or config.prior.distribution == "key":
        raise UserError(
            f"{config.name} makes examples of shape {list(made.shape[1:])}: no pictures"
        )
    symmetric = config.data.symmetric
    if mapped and name != "z":
        pictures = Partial(functools.partial(_of_w, gen, symmetric), variables)
        draw = Partial(functools.partial(_draw_w, gen), variables)
        return LatentSpace(pictures, draw, "w", classes, variables["moments"]["w_mean"])
    pictures = Partial(functools.partial(_of_z, gen, symmetric), variables)
    draw = Partial(functools.partial(_draw_z, config.prior.dim, config.prior.distribution))
    return LatentSpace(pictures, draw, config.prior.distribution, classes)


def refuse_conditions(config: Config) -> None:
    """Raises UserError where the generator is given more than noise and labels."""
    if config.masks.kinds or config.data.cond:
        raise UserError(f"{config.name} is conditioned on more than labels")


def _name(gen: nn.Module) -> str:
    return f"{type(gen).__module__.rpartition('.')[2]}.{type(gen).__name__}"


def _unit(x: jax.Array, symmetric: bool) -> jax.Array:
    x = jnp.asarray(x, jnp.float32)
    return (x + 1) / 2 if symmetric else x


def _of_z(gen: nn.Module, symmetric: bool, variables: Any, z: jax.Array, cond: Any) -> jax.Array:
    made: Any = gen.apply(variables, z, cond, train=False)
    return _unit(made, symmetric)


def _draw_z(dim: int, distribution: str, own: jax.Array, cond: Any) -> jax.Array:  # noqa: ARG001
    return keys.latents(own, dim, distribution)


def map_w(gen: Any, variables: Any, z: jax.Array, cond: Any) -> jax.Array:
    """w [n, d] of the first `latent` numbers of z, by StyleGAN2's mapping network."""
    if not isinstance(gen, stylegan2.Generator):
        return gen.map_w(variables, z, cond)  # an artefact's
    mapping = stylegan2.Mapping(gen.w_dim, gen.mapping_layers)
    labels = layers.one_hot(cond, gen.classes, z.shape[0])
    found: Any = mapping.apply({"params": variables["params"]["Mapping_0"]}, z, labels)
    return found


def synthesize_from_w(gen: Any, variables: Any, w: jax.Array, cond: Any) -> jax.Array:
    """Pictures [m, h, w, c] as the data has them, of w [m, d] in all layers and no noise."""
    if not isinstance(gen, stylegan2.Generator):
        return gen.of_w(variables, w, cond)  # an artefact's
    # By what is added to the w of z = 0.
    zero = jnp.zeros((w.shape[0], gen.z_dim))
    added = w - map_w(gen, variables, zero[:, : gen.latent], cond)
    added = jnp.broadcast_to(added[:, None], (w.shape[0], *gen.w_shape))
    moved = {**variables, "perturbations": {"w": added}}
    made: Any = gen.clone(truncation=1.0).apply(moved, zero, cond, train=False)
    return jnp.asarray(made, jnp.float32)


def _of_w(gen: Any, symmetric: bool, variables: Any, w: jax.Array, cond: Any) -> jax.Array:
    return _unit(synthesize_from_w(gen, variables, w, cond), symmetric)


def _draw_w(gen: Any, variables: Any, own: jax.Array, cond: Any) -> jax.Array:
    return map_w(gen, variables, keys.latents(own, gen.latent, "normal"), cond)
