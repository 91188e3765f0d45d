"""Perceptual path length: how much a picture changes, for a small step between two latents.

in Z  draw=lambda keys: latents(keys, z_dim, "normal"), interpolate=slerp
in W  draw=lambda keys: mapping(latents(keys, z_dim, "normal")), interpolate=lerp
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jax.tree_util import Partial

from gan_jax.core import devices as core_devices
from gan_jax.core.errors import UserError
from gan_jax.core.progress import tqdm
from gan_jax.metrics import checks

EPSILON = 1e-4  # 1812.04948's

LatentSampler = Callable[[jax.Array], jax.Array]
Interpolate = Callable[[jax.Array, jax.Array, jax.Array], jax.Array]
Generate = Callable[[jax.Array, jax.Array], Any]
Distance = Callable[[Any, Any], jax.Array]


def path_lengths(
    generate: Generate,
    distance: Distance,
    sample_latents: LatentSampler,
    interpolate: Interpolate,
    key: jax.Array,
    n: int,
    epsilon: float = EPSILON,
    batch: int = 64,
    *,
    devices: Sequence[jax.Device] | None = None,
    quiet: bool = True,
) -> np.ndarray:
    """d(G(u(t)), G(u(t + epsilon))) / epsilon^2 of n paths u, float64 [n]; t ~ U(0, 1).

    Karras et al. 2019 (1812.04948), eq. 2 with slerp in Z, eq. 3 with lerp in W. `draw(keys [b])`
    makes ends [b, d] of paths. `generate(latents [b, d], keys [b])` makes examples [b, ...]; what
    else of them is random, labels say, comes from the keys, which are equal at t and t + epsilon.
    `distance` of two such is [b], quadratic in small changes (a squared distance). Path i depends
    on the key and i alone. In float32, a step of 1e-4 is known to about 1e-3 of itself.

    Each batch is cut over `devices`, by default one. A function that holds large arrays is better a
    `jax.tree_util.Partial` of them: they then are no constants of the program.

    Raises UserError if n, batch or epsilon make no sense, or a length is not finite.
    """
    for name, value in (("path lengths", n), ("batch", batch)):
        checks.check_between(name, value, 1, np.iinfo(np.int32).max)
    if not 0 < epsilon < 1:
        raise UserError(f"epsilon: {epsilon} given, above 0 and below 1 allowed")

    functions = tuple(
        one if isinstance(one, Partial) else Partial(one)
        for one in (generate, distance, sample_latents)
    )

    @jax.jit
    def lengths(functions: tuple[Partial, ...], key: jax.Array, index: jax.Array) -> jax.Array:
        generate, distance, draw = functions
        own = jax.vmap(jax.random.fold_in, (None, 0))(key, index)
        first, second, place, rest = jax.vmap(lambda key: jax.random.split(key, 4), 0, 1)(own)
        t = jax.vmap(jax.random.uniform)(place)[:, None]
        a, b = draw(first), draw(second)
        here, there = (generate(interpolate(a, b, at), rest) for at in (t, t + epsilon))
        return distance(here, there)

    devices = devices or jax.local_devices()[:1]
    devices = devices[: math.gcd(len(devices), batch)]
    functions, key = core_devices.replicate((functions, key), devices)
    made = []
    with tqdm(total=n, unit="path", disable=quiet, desc="path length") as bar:
        for start in range(0, n, batch):  # the last one is filled up, so that one program serves
            index = np.minimum(np.arange(start, start + batch, dtype=np.int32), n - 1)
            found = lengths(functions, key, core_devices.shard(index, devices))
            made.append(np.asarray(found, np.float64))
            if made[-1].shape != (batch,):
                raise UserError(f"distance: shape {made[-1].shape} given, [{batch}] allowed")
            bar.update(min(batch, n - start))
    found = np.concatenate(made)[:n] / epsilon**2
    if not np.isfinite(found).all():
        path = int(np.argmin(np.isfinite(found)))
        raise UserError(f"path lengths: {found[path]} at {path} given, only finite values allowed")
    return found


def trim_percentiles(lengths: np.ndarray) -> np.ndarray:
    """Those of `path_lengths` [n] from the percentile 1 to 99, as the authors' code takes them."""
    low = np.percentile(lengths, 1, method="lower")
    high = np.percentile(lengths, 99, method="higher")
    return lengths[(low <= lengths) & (lengths <= high)]
