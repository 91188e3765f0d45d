"""Perceptual path length: change of an image for a small step between two latents.

in Z  sample_latents=lambda keys: latents(keys, z_dim, "normal"), interpolate=slerp
in W  sample_latents=lambda keys: mapping(latents(keys, z_dim, "normal")), interpolate=lerp
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jax.tree_util import Partial
from jaxtyping import Array, Float, Int, PRNGKeyArray

from gan_jax.core import devices as core_devices
from gan_jax.core.errors import UserError
from gan_jax.core.progress import tqdm
from gan_jax.metrics import checks

EPSILON = 1e-4  # as in 1812.04948

LatentSampler = Callable[[jax.Array], jax.Array]
Interpolate = Callable[[jax.Array, jax.Array, jax.Array], jax.Array]
Generate = Callable[[jax.Array, jax.Array], Any]
Distance = Callable[[Any, Any], jax.Array]


def path_lengths(
    generate: Generate,
    distance: Distance,
    sample_latents: LatentSampler,
    interpolate: Interpolate,
    key: PRNGKeyArray,
    n: int,
    epsilon: float = EPSILON,
    batch: int = 64,
    *,
    devices: Sequence[jax.Device] | None = None,
    quiet: bool = True,
) -> Float[np.ndarray, " n"]:
    """Compute d(G(u(t)), G(u(t + epsilon))) / epsilon^2 of n paths u, with t ~ U(0, 1).

    Karras et al. 2019 (1812.04948), eq. 2 with slerp in Z, eq. 3 with lerp in W. Path i depends on
    the key and on i only. In float32, a step of 1e-4 has a relative error of about 1e-3.

    If `generate`, `distance` or `sample_latents` hold large arrays, pass a `jax.tree_util.Partial`
    of them: otherwise the arrays become constants of the compiled program.

    Args:
        generate: Generator `(latents [b, d], keys [b]) -> examples [b, ...]`. The keys are for
            other random inputs, such as labels. They are equal at t and t + epsilon.
        distance: Distance `(examples, examples) -> [b]`, quadratic in small changes (a squared
            distance).
        sample_latents: Sampler of the ends of the paths, `keys [b] -> latents [b, d]`.
        interpolate: Interpolation `(start [b, d], end [b, d], t [b, 1]) -> latents [b, d]`.
        key: PRNG key of the paths.
        n: Number of paths.
        epsilon: Step along the path, in (0, 1).
        batch: Number of paths in one program call.
        devices: Devices to shard each batch over. None: one.
        quiet: Whether to hide the progress bar.

    Returns:
        Lengths float64 [n].

    Raises:
        UserError: If n, batch or epsilon is out of range, or a length is not finite.

    Example:
        >>> lengths = path_lengths(  # of straight lines, by the squared distance of their points
        ...     generate=lambda latents, keys: latents,
        ...     distance=lambda first, second: ((first - second) ** 2).sum(1),
        ...     sample_latents=lambda keys: jax.vmap(lambda k: jax.random.normal(k, (2,)))(keys),
        ...     interpolate=lambda start, end, t: start + t * (end - start),
        ...     key=jax.random.key(0),
        ...     n=3,
        ...     epsilon=0.5,
        ...     batch=4,
        ... )
        >>> lengths.shape
        (3,)
    """
    for name, count in (("path lengths", n), ("batch", batch)):
        checks.check_between(name, count, 1, np.iinfo(np.int32).max)
    if not 0 < epsilon < 1:
        raise UserError(f"epsilon must be above 0 and below 1, got {epsilon}")

    functions = tuple(
        function if isinstance(function, Partial) else Partial(function)
        for function in (generate, distance, sample_latents)
    )

    @jax.jit
    def batch_lengths(
        functions: tuple[Partial, ...], key: PRNGKeyArray, index: Int[Array, " b"]
    ) -> Float[Array, " b"]:
        generate, distance, sample_latents = functions
        path_keys = jax.vmap(jax.random.fold_in, (None, 0))(key, index)
        start_keys, end_keys, t_keys, example_keys = jax.vmap(
            lambda key: jax.random.split(key, 4), 0, 1
        )(path_keys)
        t = jax.vmap(jax.random.uniform)(t_keys)[:, None]
        start, end = sample_latents(start_keys), sample_latents(end_keys)
        first, second = (
            generate(interpolate(start, end, position), example_keys)
            for position in (t, t + epsilon)
        )
        return distance(first, second)

    devices = devices or jax.local_devices()[:1]
    devices = devices[: math.gcd(len(devices), batch)]
    functions, key = core_devices.replicate((functions, key), devices)
    parts = []
    with tqdm(total=n, unit="path", disable=quiet, desc="path length") as bar:
        for start in range(0, n, batch):  # the last batch is padded, so that one program suffices
            index = np.minimum(np.arange(start, start + batch, dtype=np.int32), n - 1)
            part = batch_lengths(functions, key, core_devices.shard(index, devices))
            parts.append(np.asarray(part, np.float64))
            if parts[-1].shape != (batch,):
                raise UserError(f"distance must be [{batch}], got shape {parts[-1].shape}")
            bar.update(min(batch, n - start))
    lengths = np.concatenate(parts)[:n] / epsilon**2
    if not np.isfinite(lengths).all():
        path = int(np.argmin(np.isfinite(lengths)))
        raise UserError(f"path lengths must be finite, got {lengths[path]} for path {path}")
    return lengths


def trim_percentiles(lengths: Float[np.ndarray, " n"]) -> Float[np.ndarray, " _"]:
    """Select the path lengths from percentile 1 to 99, as the code of 1812.04948 does.

    Example:
        >>> trim_percentiles(np.arange(201.0)).size
        197
    """
    low = np.percentile(lengths, 1, method="lower")
    high = np.percentile(lengths, 99, method="higher")
    return lengths[(low <= lengths) & (lengths <= high)]
