"""Unsupervised directions in a latent space.

Two methods are implemented: GANSpace, principal components of early activations (Harkonen et al.
2020, 2004.02546), and SeFa, eigenvectors of the first weight (Shen and Zhou 2021, 2007.06600).
"""

import functools
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial
from jaxtyping import Float

from gan_jax.config import Config
from gan_jax.core import keys
from gan_jax.core.errors import UserError
from gan_jax.inference.latent_space import LatentSpace
from gan_jax.networks import dcgan, layers, mlp, r3gan, sngan, stylegan2, wgan_gp

SAMPLES = 2048  # number of samples; GANSpace uses 10^6 of a much larger network
_BATCH = 128


class Directions(NamedTuple):
    """Directions in a latent space, strongest first."""

    vectors: np.ndarray
    """Unit vectors, float32 [k, d]. The largest component of each is positive."""
    scales: np.ndarray
    """Standard deviations of the latents along the vectors, float32 [k]."""
    strengths: np.ndarray
    """Sort keys, float64 [k]: variance of the activations along a component (PCA), or eigenvalue
    (SeFa)."""


def sefa(
    kernel: Float[np.ndarray, "d m"], count: int
) -> tuple[Float[np.ndarray, "count d"], Float[np.ndarray, " count"]]:
    """Compute the latent directions that change the output of a linear layer most.

    The directions are the eigenvectors of W W^T with the largest eigenvalues (2007.06600, eq. 6;
    its A is our W^T).

    Args:
        kernel: Weight W [d, m] of the layer y = x W.
        count: Number of directions.

    Returns:
        Unit vectors n [count, d], and the squared changes |n W|^2 [count].

    Example:
        >>> vectors, strengths = sefa(np.diag([1.0, 3.0, 2.0]), 2)
        >>> vectors.tolist(), strengths.tolist()
        ([[0.0, 1.0, 0.0], [0.0, 0.0, 1.0]], [9.0, 4.0])
    """
    weight = np.asarray(kernel, np.float64)
    eigenvalues, vectors = np.linalg.eigh(weight @ weight.T)
    return _with_fixed_signs(vectors.T[::-1][:count]), eigenvalues[::-1][:count]


def pca(
    activations: Float[np.ndarray, "n m"], latents: Float[np.ndarray, "n d"], count: int
) -> tuple[Float[np.ndarray, "count d"], Float[np.ndarray, " count"]]:
    """Compute the latent directions that match the principal components of activations.

    GANSpace (2004.02546, sec. 2.2): with x the coordinates of the activations in the basis of the
    components, U = argmin over the examples of |U x - z|^2 (eq. 3). If the activations are the
    latents, the directions are the components themselves.

    Args:
        activations: Activations [n, m].
        latents: Latents [n, d] that produced them.
        count: Number of components.

    Returns:
        Unit vectors [count, d], and the variances of the components [count].
    """
    from sklearn.decomposition import PCA

    model = PCA(count, svd_solver="randomized", random_state=0)
    x = np.asarray(model.fit_transform(np.asarray(activations, np.float32)), np.float64)
    z = np.asarray(latents, np.float64)
    basis = np.linalg.lstsq(x, z - z.mean(0), rcond=None)[0]
    length = np.linalg.norm(basis, axis=1, keepdims=True)
    return _with_fixed_signs(basis / np.maximum(length, 1e-30)), model.explained_variance_


def _with_fixed_signs(vectors: np.ndarray) -> np.ndarray:
    """Flip rows so that their largest component is positive, whatever the solver's version."""
    largest = np.take_along_axis(vectors, np.abs(vectors).argmax(1)[:, None], 1)
    return vectors * np.where(largest < 0, -1, 1)


def find_directions(
    config: Config, variables: Any, space: LatentSpace, method: str, count: int, key: jax.Array
) -> Directions:
    """Find the directions in a generator's latent space that change its images most.

    Layers that are used, by network:

    mlp, dcgan        pca: first hidden layer after its nonlinearity; sefa: its weight of z
    sngan, wgan_gp    pca: output of the first block; sefa: weight of the linear layer before it
    r3gan             as sngan; the linear layer scales the basis
    stylegan2 in W    pca: w; sefa: weights of the styles of all convolutions, concatenated

    Args:
        config: Config of the run.
        variables: Variables of its generator.
        space: Latent space of the generator.
        method: "pca" (GANSpace) or "sefa".
        count: Number of directions, from 1 to the dimension of the latents.
        key: PRNG key of the samples.

    Returns:
        The directions, strongest first.

    Raises:
        UserError: If the method or the count is out of range, or the network is not supported.
    """
    latents = _map_samples(space, key, space.sample)
    if not 1 <= count <= latents.shape[1]:
        raise UserError(f"count must be from 1 to {latents.shape[1]} (latent size), got {count}")
    if method == "sefa":
        vectors, strengths = sefa(_first_weight(config, variables, space), count)
    elif method == "pca":
        activations = latents
        if space.distribution != "w":
            name, nonlinearity = _early_layer(config, space)
            early = functools.partial(_early_activations, config.gen, name, nonlinearity)
            activations = _map_samples(space, key, Partial(early, variables, space.sample))
        vectors, strengths = pca(activations, latents, min(count, activations.shape[1]))
    else:
        raise UserError(f"method must be pca or sefa, got {method!r}")
    scales = (latents @ vectors.T).std(0)
    return Directions(vectors.astype(np.float32), scales.astype(np.float32), strengths)


def _unsupported(config: Config, space: LatentSpace) -> UserError:
    if not isinstance(config.gen, nn.Module):
        return UserError("directions need the layers of a network: give a run folder, not a file")
    name = type(config.gen).__module__.rpartition(".")[2]
    space_name = "W" if space.distribution == "w" else "Z"
    return UserError(
        "directions are supported for mlp, dcgan, sngan, wgan_gp and r3gan in Z, and stylegan2 in "
        f"W, got {name} in {space_name}"
    )


def _first_weight(config: Config, variables: Any, space: LatentSpace) -> np.ndarray:
    params = variables["params"]
    match config.gen:
        case stylegan2.Generator() if space.distribution == "w":
            styles = [params[name]["style"] for name in sorted(params) if "StyledConv" in name]
            return np.concatenate([style["kernel"] for style in styles], 1)
        case mlp.Generator() | dcgan.Generator() | sngan.Generator() | wgan_gp.Generator():
            # The rows below these belong to the labels.
            return np.asarray(params["Dense_0"]["kernel"])[: config.prior.dim]
        case r3gan.Generator():
            return np.asarray(params["start"]["kernel"])[: config.prior.dim]
    raise _unsupported(config, space)


def _early_layer(
    config: Config, space: LatentSpace
) -> tuple[str, layers.Activation | layers.Output]:
    """Return the name of the module with the activations, and the nonlinearity after it."""
    match config.gen:
        case mlp.Generator(widths=widths, norm=norm, activation=activation, out=out):
            nonlinearity = activation if widths else out
            return ("BatchNorm_0" if norm == "batch" and widths else "Dense_0"), nonlinearity
        case dcgan.Generator():
            return "BatchNorm_0", "relu"
        case sngan.Generator() | wgan_gp.Generator():
            return "UpBlock_0", "linear"
        case r3gan.Generator():
            return "Block_0", "linear"
    raise _unsupported(config, space)


def _map_samples(space: LatentSpace, key: jax.Array, function: Partial) -> np.ndarray:
    """Apply a function to SAMPLES samples, with labels in turn.

    `function` maps keys [m] and labels [m] (or None) to [m, ...]. Returns [SAMPLES, d].
    """

    @jax.jit
    def map_batch(function: Partial, index: jax.Array) -> jax.Array:
        example_keys = keys.indexed_keys(key, index)
        outputs = function(example_keys, index % space.classes if space.classes else None)
        return outputs.reshape(len(index), -1)

    batches = np.arange(SAMPLES, dtype=np.int32).reshape(-1, _BATCH)
    return np.concatenate([np.asarray(map_batch(function, index)) for index in batches])


def _early_activations(
    gen: nn.Module,
    name: str,
    nonlinearity: Any,
    variables: Any,
    sample: Partial,
    example_keys: jax.Array,
    label: Any,
) -> jax.Array:
    _, state = gen.apply(
        variables,
        sample(example_keys, label),
        label,
        train=False,
        capture_intermediates=lambda module, _: module.name == name,
        mutable="intermediates",
    )
    (y,) = state["intermediates"][name]["__call__"]
    return layers.activate(jnp.asarray(y, jnp.float32), nonlinearity)
