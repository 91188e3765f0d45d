"""Inversion: latents whose pictures are nearest to given ones, by optimisation.

As Zhu et al. 2016 (1609.03552, sec. 3.1) and StyleGAN2's projection (Karras et al. 2020,
1912.04958, app. D): gradient descent through the generator, here from the nearest of many random
samples. Under a mask only what is known of a picture counts, and the generator fills the hole: Yeh
et al. 2017 (1607.07539).
"""

import dataclasses
import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.tree_util import Partial

from gan_jax.core import keys
from gan_jax.core.errors import UserError
from gan_jax.core.progress import tqdm
from gan_jax.inference.latent_space import Distribution, LatentSpace
from gan_jax.inference.nearest import check_targets, nearest_samples


@dataclasses.dataclass(frozen=True)
class Search:
    """How latents are searched for."""

    steps: int = 500
    """Adam's, from each start; of these a twentieth warm-up, then a cosine to 0."""
    lr: float = 0.05
    """Adam's highest. Latents are of size 1."""
    restarts: int = 4
    """Descents of each picture, all at once: from the nearest samples."""
    samples: int = 1000
    """Random samples of which these are the nearest."""
    prior: float = 1e-3
    """Weight of `prior`, which only normal z have."""
    batch: int = 16
    """Pictures in one program; the last ones are filled up, so that one program does."""

    def __post_init__(self):
        for name, least in (("steps", 1), ("restarts", 1), ("samples", 1), ("batch", 1)):
            if getattr(self, name) < least:
                raise UserError(f"{name} is {getattr(self, name)}: it must be at least {least}")
        if self.restarts > self.samples:
            raise UserError(
                f"restarts is {self.restarts}: it must be at most {self.samples}, the samples"
            )
        if not 0 < self.lr < np.inf or not 0 <= self.prior < np.inf:
            raise UserError(f"lr is {self.lr}, prior is {self.prior}: they must be positive")


class Inversion(NamedTuple):
    """What was found of n pictures."""

    latents: np.ndarray
    """float32 [n, d]."""
    pictures: np.ndarray
    """Theirs, float32 [n, h, w, c]; under a mask the known pixels are the target's own."""
    errors: np.ndarray
    """Theirs against the targets, float32 [n]: see `invert`."""
    labels: np.ndarray | None
    """int32 [n], those of a class-conditional generator."""


def latent_prior(latents: jax.Array, distribution: Distribution) -> jax.Array:
    """How far latents [m, d] are from their shell, float32 [m]: for normal z the surprise of their
    length r over that of the likeliest, a dimension.

    r follows the chi distribution, -log p(r) = r^2/2 - (d - 1) log r + const, least at r^2 = d - 1.
    Without it, z leave the shell of radius sqrt(d) on which the generator was trained (Menon et al.
    2020, 2003.03808, sec. 3.2, who do not leave it at all). 0 for others.
    """
    if distribution != "normal":
        return jnp.zeros(len(latents))
    d = latents.shape[-1]
    squared = jnp.maximum(jnp.square(latents).sum(-1), 1e-12)
    likeliest = max(d - 1, 1e-12)
    rest = likeliest - (d - 1) * np.log(likeliest)
    return (squared - (d - 1) * jnp.log(squared) - rest) / (2 * d)


def _error(
    pictures: jax.Array, target: jax.Array, known: jax.Array, term: Partial | None
) -> jax.Array:
    """[m]: mean squared difference over known pixels (known [m, h, w, 1]), and the term."""
    known = jnp.broadcast_to(known, target.shape)
    count = known.reshape(len(known), -1).sum(1)
    squared = jnp.where(known, jnp.square(pictures - target), 0.0)
    found = squared.reshape(len(target), -1).sum(1) / count
    return found if term is None else found + term(jnp.where(known, target, pictures), pictures)


@functools.partial(jax.jit, static_argnames=("law", "search"))
def _descend(
    space: tuple,
    term: Partial | None,
    key: jax.Array,
    index: jax.Array,
    target: jax.Array,
    known: jax.Array,
    cond: Any,
    *,
    distribution: Distribution,
    search: Search,
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Latents, pictures and errors of targets [b, h, w, c], from samples `index` [restarts, b]."""
    generate, draw = space
    warm = max(search.steps // 20, 1)
    rate = optax.warmup_cosine_decay_schedule(0.0, search.lr, warm, max(search.steps, warm + 1))
    optimizer = optax.adam(rate)

    def objective(latents: jax.Array) -> tuple[jax.Array, jax.Array]:
        """The sum, of which each latent's gradient is its own; and each one's."""
        found = _error(generate(latents, cond), target, known, term)
        found += search.prior * latent_prior(latents, distribution)
        return found.sum(), found

    def step(carry: tuple, _: None) -> tuple[tuple, None]:
        latents, state, best, least = carry
        (_, found), slope = jax.value_and_grad(objective, has_aux=True)(latents)
        better = found < least
        best, least = jnp.where(better[:, None], latents, best), jnp.where(better, found, least)
        update, state = optimizer.update(slope, state)
        latents = latents + jnp.asarray(update)
        if distribution == "uniform":
            latents = jnp.clip(latents, -1.0, 1.0)
        return (latents, state, best, least), None

    def descend(index: jax.Array) -> tuple[jax.Array, jax.Array]:
        start = draw(keys.indexed_keys(key, index), cond)
        first = (start, optimizer.init(start), start, jnp.full(len(start), jnp.inf))
        last, _ = jax.lax.scan(step, first, None, search.steps)
        return last[2], last[3]

    latents, least = jax.vmap(descend)(index)
    latents = jnp.take_along_axis(latents, least.argmin(0)[None, :, None], 0)[0]
    pictures = generate(latents, cond)
    return latents, pictures, _error(pictures, target, known, term)


def invert(
    space: LatentSpace,
    target: np.ndarray,
    key: jax.Array,
    search: Search = Search(),
    *,
    cond: np.ndarray | None = None,
    mask: np.ndarray | None = None,
    term: Partial | None = None,
    quiet: bool = True,
) -> Inversion:
    """Latents of pictures `target` float32 [n, h, w, c] in [0, 1].

    The error is the mean squared difference over the known pixels, those where `mask` bool
    [n, h, w, 1] is false, and `term` (target [m, h, w, c], picture) -> [m], where it is given; it
    sees targets whose holes are filled. The search minimises that and the `prior`, from the
    samples that are nearest without the two; the best iterate of all restarts is kept. Uniform z do
    not leave their cube.

    `cond` [n] int32 are the labels of a class-conditional generator; without them, every class is
    tried and the one of the least error kept. What is found of a picture depends on it, its label
    and mask, and the key, not on the others.

    Raises UserError where shapes do not fit, a picture is not in [0, 1] or all hole, or the
    generator's pictures are not finite.
    """
    if space.classes and cond is None:
        each = [
            invert(
                space,
                target,
                key,
                search,
                cond=np.full(len(target), label, np.int32),
                mask=mask,
                term=term,
                quiet=quiet,
            )
            for label in range(space.classes)
        ]
        best = np.argmin([one.errors for one in each], 0)
        fields = [np.stack(field) for field in zip(*each, strict=True)]
        return Inversion(*(field[best, np.arange(len(best))] for field in fields))
    target, known, cond = check_targets(space, target, mask, cond)
    n, batch = len(target), search.batch
    _, index = nearest_samples(
        space, target, key, search.samples, search.restarts, cond=cond, mask=mask, batch=batch
    )
    made = []
    with tqdm(total=n, unit="picture", disable=quiet, desc="inversion") as bar:
        for start in range(0, n, batch):
            part = np.resize(np.arange(start, min(start + batch, n)), batch)
            own = None if cond is None else cond[part]
            inputs = index[part].T, target[part], known[part], own
            found = _descend(
                space[:2], term, key, *inputs, distribution=space.distribution, search=search
            )
            made.append(jax.device_get(found))
            bar.update(min(batch, n - start))
    latents, pictures, errors = (np.concatenate(field)[:n] for field in zip(*made, strict=True))
    if not np.isfinite(errors).all():
        raise UserError("the generator's pictures are not finite: the run has diverged")
    if mask is not None:
        pictures = np.where(known, target, pictures)
    return Inversion(latents, pictures, errors, cond)
