"""Inversion: latents whose images are nearest to target images, by optimization.

The method follows Zhu et al. 2016 (1609.03552, sec. 3.1) and StyleGAN2's projection (Karras et al.
2020, 1912.04958, app. D): gradient descent through the generator, here from the nearest of many
random samples. With a mask only the known pixels count, and the generator inpaints the rest (Yeh et
al. 2017, 1607.07539).
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
    """Settings of the search for latents."""

    steps: int = 500
    """Number of Adam steps of each descent: a twentieth of warm-up, then cosine decay to 0."""
    lr: float = 0.05
    """Peak learning rate of Adam. Latents have a scale of 1."""
    restarts: int = 4
    """Number of concurrent descents of each image, from its nearest samples."""
    samples: int = 1000
    """Number of random samples to start from."""
    prior: float = 1e-3
    """Weight of `latent_prior`, which is 0 except for normal z."""
    batch: int = 16
    """Number of images in one program. The last batch is padded to this size."""

    def __post_init__(self):
        """Raise UserError if a setting is out of range."""
        for name in ("steps", "restarts", "samples", "batch"):
            if getattr(self, name) < 1:
                raise UserError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.restarts > self.samples:
            raise UserError(
                f"restarts must be at most {self.samples} (samples), got {self.restarts}"
            )
        if not 0 < self.lr < np.inf:
            raise UserError(f"lr must be positive and finite, got {self.lr}")
        if not 0 <= self.prior < np.inf:
            raise UserError(f"prior must be at least 0 and finite, got {self.prior}")


class Inversion(NamedTuple):
    """Result of inverting n images."""

    latents: np.ndarray
    """Latents, float32 [n, d]."""
    images: np.ndarray
    """Images of the latents, float32 [n, h, w, c]; with a mask, known pixels are the target's."""
    errors: np.ndarray
    """Errors of the images, float32 [n]: see `invert`."""
    labels: np.ndarray | None
    """Class labels, int32 [n], for class-conditional generators."""


def latent_prior(latents: jax.Array, distribution: Distribution) -> jax.Array:
    """Compute the distance of latents from the shell on which the generator was trained.

    For normal z this is the negative log-likelihood of their norm r, minus its minimum, per
    dimension. r follows the chi distribution, -log p(r) = r^2/2 - (d - 1) log r + const, with its
    minimum at r^2 = d - 1. Without this term z leave the shell of radius sqrt(d) (Menon et al.
    2020, 2003.03808, sec. 3.2, who constrain z to the shell). For other distributions it is 0.

    Args:
        latents: Latents, float32 [m, d].
        distribution: Distribution of the latents.

    Returns:
        Distances, float32 [m], at least 0.

    Example:
        >>> distances = latent_prior(jnp.ones((2, 5)), "normal")
        >>> distances.shape, f"{distances[0]:.4f}"
        ((2,), '0.0107')
    """
    if distribution != "normal":
        return jnp.zeros(len(latents))
    d = latents.shape[-1]
    squared_norm = jnp.maximum(jnp.square(latents).sum(-1), 1e-12)
    mode = max(d - 1, 1e-12)
    minimum = mode - (d - 1) * np.log(mode)
    return (squared_norm - (d - 1) * jnp.log(squared_norm) - minimum) / (2 * d)


def _error(
    images: jax.Array, target: jax.Array, known: jax.Array, term: Partial | None
) -> jax.Array:
    """Compute the mean squared difference over known pixels [m, h, w, 1], plus the term: [m]."""
    known = jnp.broadcast_to(known, target.shape)
    count = known.reshape(len(known), -1).sum(1)
    squared = jnp.where(known, jnp.square(images - target), 0.0)
    error = squared.reshape(len(target), -1).sum(1) / count
    return error if term is None else error + term(jnp.where(known, target, images), images)


@functools.partial(jax.jit, static_argnames=("distribution", "search"))
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
    """Invert targets [b, h, w, c] from samples `index` [restarts, b].

    Returns latents, images and errors.
    """
    generate, sample = space
    warm_up = max(search.steps // 20, 1)
    schedule = optax.warmup_cosine_decay_schedule(
        0.0, search.lr, warm_up, max(search.steps, warm_up + 1)
    )
    optimizer = optax.adam(schedule)

    def objective(latents: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Return the sum of the losses, whose gradient separates by example, and the losses."""
        loss = _error(generate(latents, cond), target, known, term)
        loss += search.prior * latent_prior(latents, distribution)
        return loss.sum(), loss

    def step(carry: tuple, _: None) -> tuple[tuple, None]:
        latents, state, best, best_loss = carry
        (_, loss), gradient = jax.value_and_grad(objective, has_aux=True)(latents)
        better = loss < best_loss
        best = jnp.where(better[:, None], latents, best)
        best_loss = jnp.where(better, loss, best_loss)
        update, state = optimizer.update(gradient, state)
        latents = latents + jnp.asarray(update)
        if distribution == "uniform":
            latents = jnp.clip(latents, -1.0, 1.0)
        return (latents, state, best, best_loss), None

    def descend(index: jax.Array) -> tuple[jax.Array, jax.Array]:
        start = sample(keys.indexed_keys(key, index), cond)
        first = (start, optimizer.init(start), start, jnp.full(len(start), jnp.inf))
        last, _ = jax.lax.scan(step, first, None, search.steps)
        return last[2], last[3]

    latents, best_loss = jax.vmap(descend)(index)
    latents = jnp.take_along_axis(latents, best_loss.argmin(0)[None, :, None], 0)[0]
    images = generate(latents, cond)
    return latents, images, _error(images, target, known, term)


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
    """Find latents whose images match target images.

    Minimizes the mean squared error over the unmasked pixels, plus `term`, plus `search.prior`
    times `latent_prior`, by gradient descent from the random samples with the smallest mean squared
    error. The best iterate of all restarts is returned. Uniform z stay in their cube. The result
    for an image depends on the image, its label, its mask and `key`, not on the rest of the batch.

    Args:
        space: Latent space of a generator, from `make_latent_space`.
        target: Images, float32 [n, h, w, c] in [0, 1].
        key: PRNG key of the random samples.
        search: Settings of the search.
        cond: Class labels, int32 [n]. If None for a class-conditional generator, every class is
            tried and the one with the smallest error is returned.
        mask: Pixels to ignore, bool [n, h, w, 1].
        term: Extra loss (target [m, h, w, c], image) -> [m], e.g. `perceptual(features, 0.1)`. Its
            target has the image's pixels under the mask.
        quiet: Hide the progress bar.

    Returns:
        Latents, their images, the errors (without the prior), and labels.

    Raises:
        UserError: If shapes do not match, a value is outside [0, 1], a mask covers a whole image,
            or the generator's images are not finite.

    Example:
        >>> generate = Partial(lambda z, cond: jax.nn.sigmoid(z).reshape(-1, 2, 2, 1))
        >>> sample = Partial(lambda key, cond: keys.latents(key, 4, "normal"))
        >>> space = LatentSpace(generate, sample, "normal")
        >>> target = np.full((3, 2, 2, 1), 0.25, np.float32)
        >>> inversion = invert(space, target, jax.random.key(0), Search(steps=50, samples=128))
        >>> inversion.latents.shape, inversion.images.shape, bool((inversion.errors < 1e-3).all())
        ((3, 4), (3, 2, 2, 1), True)
    """
    if space.classes and cond is None:
        return _try_classes(space, target, key, search, mask=mask, term=term, quiet=quiet)
    target, known, cond = check_targets(space, target, mask, cond)
    n, batch = len(target), search.batch
    _, index = nearest_samples(
        space, target, key, search.samples, search.restarts, cond=cond, mask=mask, batch=batch
    )
    batches = []
    with tqdm(total=n, unit="image", disable=quiet, desc="inversion") as bar:
        for start in range(0, n, batch):
            part = np.resize(np.arange(start, min(start + batch, n)), batch)
            labels = None if cond is None else cond[part]
            inputs = index[part].T, target[part], known[part], labels
            outputs = _descend(
                space[:2], term, key, *inputs, distribution=space.distribution, search=search
            )
            batches.append(jax.device_get(outputs))
            bar.update(min(batch, n - start))
    latents, images, errors = (np.concatenate(field)[:n] for field in zip(*batches, strict=True))
    if not np.isfinite(errors).all():
        raise UserError("the generator's images are not finite: the run has diverged")
    if mask is not None:
        images = np.where(known, target, images)
    return Inversion(latents, images, errors, cond)


def _try_classes(
    space: LatentSpace, target: np.ndarray, key: jax.Array, search: Search, **arguments: Any
) -> Inversion:
    """Invert with every class, and select the class with the smallest error for each image."""
    inversions = [
        invert(space, target, key, search, cond=np.full(len(target), label, np.int32), **arguments)
        for label in range(space.classes)
    ]
    best = np.argmin([inversion.errors for inversion in inversions], 0)
    fields = [np.stack(field) for field in zip(*inversions, strict=True)]
    return Inversion(*(field[best, np.arange(len(best))] for field in fields))
