"""Editing of what a generator makes: interpolation, truncation, and directions without labels.

Directions are those of GANSpace, principal components of early activations (Harkonen et al. 2020,
2004.02546), and of SeFa, which reads them off the first weight (Shen and Zhou 2021, 2007.06600).
"""

import functools
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial

from gan_jax.config import Config
from gan_jax.core import keys
from gan_jax.core.errors import UserError
from gan_jax.inference.latent_space import LatentSpace
from gan_jax.networks import dcgan, layers, mlp, r3gan, sngan, stylegan2, wgan_gp

SAMPLES = 2048  # that directions are told from; GANSpace has 10^6 of a much larger network
_BATCH = 128


class Directions(NamedTuple):
    """Directions in a latent space, the most influential first."""

    vectors: np.ndarray
    """float32 [k, d], of length 1; the largest component of each is positive."""
    scales: np.ndarray
    """Standard deviations of latents along them, float32 [k]."""
    strengths: np.ndarray
    """What they are ordered by, float64 [k]: the variance of activations that a component has, or
    SeFa's eigenvalue."""


def sefa(kernel: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Of a layer y = x W, W [d, m]: the `count` directions n of length 1 along which y changes
    most, [count, d], and the squared changes |n W|^2 [count]. They are the eigenvectors of W W^T of
    the largest eigenvalues (2007.06600, eq. 6; its A is our W^T)."""
    wide = np.asarray(kernel, np.float64)
    values, vectors = np.linalg.eigh(wide @ wide.T)
    return _signed(vectors.T[::-1][:count]), values[::-1][:count]


def pca(activations: np.ndarray, latents: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The directions of latents [n, d] that go with the first `count` principal components of
    activations [n, m]: [count, d], of length 1, and the components' variances [count].

    GANSpace (2004.02546, sec. 2.2): with x the coordinates of the activations, U = argmin over
    examples of |U x - z|^2 (eq. 3). Where the activations are the latents, these are the
    components themselves.
    """
    from sklearn.decomposition import PCA

    found = PCA(count, svd_solver="randomized", random_state=0)
    x = np.asarray(found.fit_transform(np.asarray(activations, np.float32)), np.float64)
    z = np.asarray(latents, np.float64)
    basis = np.linalg.lstsq(x, z - z.mean(0), rcond=None)[0]
    length = np.linalg.norm(basis, axis=1, keepdims=True)
    return _signed(basis / np.maximum(length, 1e-30)), found.explained_variance_


def _signed(vectors: np.ndarray) -> np.ndarray:
    """Rows whose largest component is positive: else a library's version would decide."""
    largest = np.take_along_axis(vectors, np.abs(vectors).argmax(1)[:, None], 1)
    return vectors * np.where(largest < 0, -1, 1)


def find_directions(
    config: Config, variables: Any, space: LatentSpace, method: str, count: int, key: jax.Array
) -> Directions:
    """`count` directions in the `space` of a run's generator, by `method`, pca or sefa.

    Where they are read off, by network:

    mlp, dcgan        pca: the first hidden layer after its nonlinearity; sefa: its weight of z
    sngan, wgan_gp    pca: the first block's output; sefa: the weight of the linear layer before it
    r3gan             as sngan; the linear layer is that of the basis' scale
    stylegan2 in W    pca: w; sefa: the weights of all convolutions' styles, side by side

    Raises UserError for other networks and methods, and if count is not from 1 to d.
    """
    latents = _of_samples(space, key, space.draw)
    if not 1 <= count <= latents.shape[1]:
        raise UserError(f"count is {count}: it must be from 1 to {latents.shape[1]}, the latents'")
    if method == "sefa":
        vectors, strengths = sefa(_first_weight(config, variables, space), count)
    elif method == "pca":
        made = latents
        if space.distribution != "w":
            name, after = _tap(config, space)
            early = functools.partial(_early, config.gen, name, after)
            made = _of_samples(space, key, Partial(early, variables, space.draw))
        vectors, strengths = pca(made, latents, min(count, made.shape[1]))
    else:
        raise UserError(f"method is {method!r}: it must be pca or sefa")
    scales = (latents @ vectors.T).std(0)
    return Directions(vectors.astype(np.float32), scales.astype(np.float32), strengths)


def _refuse(config: Config, space: LatentSpace) -> UserError:
    if not isinstance(config.gen, nn.Module):
        return UserError("directions: an artefact does not show its layers, the run folder does")
    name = type(config.gen).__module__.rpartition(".")[2]
    place = "W" if space.distribution == "w" else "Z"
    return UserError(
        f"directions: not known for {name} in {place}, only for mlp, dcgan, sngan, wgan_gp and "
        "r3gan in Z, stylegan2 in W"
    )


def _first_weight(config: Config, variables: Any, space: LatentSpace) -> np.ndarray:
    params = variables["params"]
    match config.gen:
        case stylegan2.Generator() if space.distribution == "w":
            styles = [params[name]["style"] for name in sorted(params) if "StyledConv" in name]
            return np.concatenate([style["kernel"] for style in styles], 1)
        case mlp.Generator() | dcgan.Generator() | sngan.Generator() | wgan_gp.Generator():
            return np.asarray(params["Dense_0"]["kernel"])[
                : config.prior.dim
            ]  # below: of the labels
        case r3gan.Generator():
            return np.asarray(params["start"]["kernel"])[: config.prior.dim]
    raise _refuse(config, space)


def _tap(config: Config, space: LatentSpace) -> tuple[str, layers.Activation | layers.Output]:
    """The module whose output has the activations, and what comes after it."""
    match config.gen:
        case mlp.Generator(widths=widths, norm=norm, activation=activation, out=out):
            after = activation if widths else out
            return ("BatchNorm_0" if norm == "batch" and widths else "Dense_0"), after
        case dcgan.Generator():
            return "BatchNorm_0", "relu"
        case sngan.Generator() | wgan_gp.Generator():
            return "UpBlock_0", "linear"
        case r3gan.Generator():
            return "Block_0", "linear"
    raise _refuse(config, space)


def _of_samples(space: LatentSpace, key: jax.Array, function: Partial) -> np.ndarray:
    """function(keys [m], labels [m] or None) -> [m, ...] of SAMPLES ones, labels one after the
    other, flat: [SAMPLES, d]."""

    @jax.jit
    def some(function: Partial, index: jax.Array) -> jax.Array:
        example_keys = keys.indexed_keys(key, index)
        found = function(example_keys, index % space.classes if space.classes else None)
        return found.reshape(len(index), -1)

    batches = np.arange(SAMPLES, dtype=np.int32).reshape(-1, _BATCH)
    return np.concatenate([np.asarray(some(function, index)) for index in batches])


def _early(
    gen: nn.Module, name: str, after: Any, variables: Any, draw: Partial, own: jax.Array, label: Any
) -> jax.Array:
    """What module `name` makes of samples, and the nonlinearity after it."""
    _, found = gen.apply(
        variables,
        draw(own, label),
        label,
        train=False,
        capture_intermediates=lambda module, _: module.name == name,
        mutable="intermediates",
    )
    (y,) = found["intermediates"][name]["__call__"]
    return layers.activate(jnp.asarray(y, jnp.float32), after)
