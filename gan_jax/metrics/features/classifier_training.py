"""A small convolutional image classifier, trained by one program from a seed.

Convolutions of 3x3 with batch norm (Ioffe & Szegedy 2015, 1502.03167), pooled to the mean of the
last stage as in Network in Network (Lin et al. 2014, 1312.4400). A space-to-depth layer first turns
the four pixels of every 2x2 block into channels, which quarters the cost and loses no information.
"""

import dataclasses
import functools
import itertools
import math
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax
from jax.scipy import ndimage
from jaxtyping import Array, Float, Int, PRNGKeyArray, UInt8

from gan_jax.core import keys
from gan_jax.core.keys import Purpose
from gan_jax.core.progress import Progress
from gan_jax.data import order
from gan_jax.networks import layers
from gan_jax.networks.conv.layers import Conv

CHUNK = 50  # steps between two updates of the progress bar


@dataclasses.dataclass(frozen=True)
class Recipe:
    """Training recipe: AdamW (1711.05101), warmup, cosine decay to zero, random augmentation.

    Its representation, including the names of its fields, is part of the key of cached classifiers.
    """

    widths: tuple[int, ...] = (32, 64, 64)
    """Number of channels of each stage; resolution is halved between stages."""
    depths: tuple[int, ...] = (1, 1, 1)
    """Number of convolutions of each stage."""
    features: int = 128
    """Number of channels of the last convolution: the features."""
    epochs: float = 6
    """Number of passes over the images."""
    batch_size: int = 128
    """Number of images of a step."""
    lr: float = 4e-3
    """Learning rate after warmup."""
    warmup: float = 0.2
    """Fraction of the steps with linear warmup."""
    weight_decay: float = 0.02
    """Weight decay of kernels; biases and norms have none."""
    label_smoothing: float = 0.1
    """Probability that label smoothing spreads over all classes."""
    shift: int = 2
    """Largest random shift along both axes, in pixels."""
    slant: float = 0.0
    """Largest random rotation and shear: the slope of each axis."""
    zoom: float = 0.0
    """Largest random change of scale along each axis, as a fraction."""
    flip: bool = False
    """Whether half of the images are flipped left to right."""


def _max_pool_2x2(x: Float[Array, "n h w c"]) -> Float[Array, "n h//2 w//2 c"]:
    """Compute the maximum of every 2x2 block; the gradient of nn.max_pool is slow on CPUs."""
    a, b, c, d = (x[:, i::2, j::2] for i in (0, 1) for j in (0, 1))
    return jnp.maximum(jnp.maximum(a, b), jnp.maximum(c, d))


class Network(nn.Module):
    """Classifier of images in [0, 1], which returns features >= 0 and logits.

    The names of its submodules are the paths of its parameters in cached files.
    """

    widths: tuple[int, ...]
    """Number of channels of each stage."""
    depths: tuple[int, ...]
    """Number of convolutions of each stage."""
    features: int
    """Number of channels of the last convolution."""
    classes: int
    """Number of classes."""

    @nn.compact
    def __call__(
        self, x: Float[Array, "n h w c"], *, train: bool
    ) -> tuple[Float[Array, "n d"], Float[Array, "n classes"]]:
        """Compute features and logits of images."""
        multiple = 1 << len(self.widths)
        padding = [(-side) % multiple for side in x.shape[1:3]]
        x = jnp.pad(x, ((0, 0), *((pad // 2, pad - pad // 2) for pad in padding), (0, 0)))
        y = layers.space_to_depth(x)
        stages = [[width] * depth for width, depth in zip(self.widths, self.depths, strict=True)]
        stages[-1][-1] = self.features
        for i, stage in enumerate(stages):
            for j, width in enumerate(stage):
                y = Conv(width, use_bias=False, kernel_init=nn.initializers.he_normal())(y)
                if i < len(stages) - 1 and j == len(stage) - 1:
                    y = _max_pool_2x2(y)  # before the norm, at a quarter of its cost
                y = nn.relu(layers.batch_norm(y, train=train, axis=None))
        features = y.mean((1, 2))
        return features, nn.Dense(self.classes, name="head")(features)


class State(flax.struct.PyTreeNode):
    """Training state."""

    step: jax.Array
    params: Any
    stats: Any
    opt_state: Any


def warp(image: Float[Array, "h w c"], matrix: Float[Array, "2 2"]) -> Float[Array, "h w c"]:
    """Warp an image by a linear map about its center.

    The output at position p is the input at `matrix` p, for positions (row, column) relative to the
    center. Interpolation is bilinear, with zeros outside of the image.

    Example:
        >>> image = jnp.arange(4.0).reshape(2, 2, 1)
        >>> warp(image, -jnp.eye(2))[..., 0].tolist()  # a rotation by 180 degrees
        [[3.0, 2.0], [1.0, 0.0]]
    """
    center = (jnp.array(image.shape[:2]) - 1).reshape(2, 1, 1) / 2
    positions = jnp.mgrid[: image.shape[0], : image.shape[1]] - center
    sources = list(jnp.tensordot(matrix, positions, 1) + center)
    return jax.vmap(lambda x: ndimage.map_coordinates(x, sources, order=1), -1, -1)(image)


def _augment(
    recipe: Recipe, image: UInt8[Array, "h w c"], key: PRNGKeyArray
) -> Float[Array, "h w c"]:
    """Convert an image to [0, 1] and augment it by the recipe, with zeros outside of it."""
    shift = recipe.shift
    shift_key, flip_key, warp_key = jax.random.split(key, 3)
    image = image.astype(jnp.float32) / 255
    if recipe.slant or recipe.zoom:
        limits = jnp.array([[recipe.zoom, recipe.slant], [recipe.slant, recipe.zoom]])
        change = limits * jax.random.uniform(warp_key, (2, 2), minval=-1.0)
        image = warp(image, jnp.eye(2) + change)
    padded = jnp.pad(image, ((shift, shift), (shift, shift), (0, 0)))
    y, x = jax.random.randint(shift_key, (2,), 0, 2 * shift + 1)
    image = lax.dynamic_slice(padded, (y, x, 0), image.shape)
    if recipe.flip:
        image = jnp.where(jax.random.bernoulli(flip_key), image[:, ::-1], image)
    return image


def make_network(recipe: Recipe, classes: int) -> Network:
    """Make the network of a recipe."""
    return Network(recipe.widths, recipe.depths, recipe.features, classes)


def _num_steps(recipe: Recipe, total: int) -> int:
    return math.ceil(recipe.epochs * total / recipe.batch_size)


def _optimizer(recipe: Recipe, total: int) -> optax.GradientTransformation:
    steps = _num_steps(recipe, total)
    warmup = max(int(recipe.warmup * steps), 1)
    return optax.adamw(
        optax.warmup_cosine_decay_schedule(0.0, recipe.lr, warmup, max(steps, warmup + 1)),
        weight_decay=recipe.weight_decay,
        mask=lambda params: jax.tree.map(lambda leaf: leaf.ndim > 1, params),
    )


def _train_step(
    recipe: Recipe,
    network: Network,
    optimizer: optax.GradientTransformation,
    state: State,
    key: jax.Array,
    images: jax.Array,
    labels: jax.Array,
) -> tuple[State, jax.Array]:
    batch = order.indices(key, state.step, 1, recipe.batch_size, len(images))[0]
    augment_key = keys.step_key(key, Purpose.AUGMENT, state.step)
    image_keys = keys.example_keys(augment_key, recipe.batch_size)
    x = jax.vmap(_augment, (None, 0, 0))(recipe, images[batch], image_keys)
    target = optax.smooth_labels(
        jax.nn.one_hot(labels[batch], network.classes), recipe.label_smoothing
    )

    def loss_and_stats(params: Any) -> tuple[jax.Array, Any]:
        (_, logits), stats = network.apply(
            {"params": params, **state.stats}, x, train=True, mutable=list(state.stats)
        )
        return optax.softmax_cross_entropy(logits, target).mean(), dict(stats)

    (loss, stats), grads = jax.value_and_grad(loss_and_stats, has_aux=True)(state.params)
    updates, opt_state = optimizer.update(grads, state.opt_state, state.params)
    params = optax.apply_updates(state.params, updates)
    return State(state.step + 1, params, stats, opt_state), loss


def make_program(
    recipe: Recipe, network: Network, shape: tuple[int, ...], total: int
) -> tuple[Callable, Callable]:
    """Make the functions that initialize and train a classifier, to be compiled.

    Args:
        recipe: Training recipe.
        network: The classifier.
        shape: Shape of an image [h, w, c].
        total: Number of images.

    Returns:
        `init(key) -> state`, and `chunk(state, key, count, images, labels) -> (state, loss)`, which
        trains for `count` steps on images uint8 [total, h, w, c] with labels int32 [total].
    """
    optimizer = _optimizer(recipe, total)
    step = functools.partial(_train_step, recipe, network, optimizer)

    def init(key: jax.Array) -> State:
        dummy = jnp.zeros((1, *shape))
        stats = dict(network.init(keys.step_key(key, Purpose.INIT_DISC, 0), dummy, train=False))
        params = stats.pop("params")
        return State(jnp.int32(0), params, stats, optimizer.init(params))

    def chunk(
        state: State, key: jax.Array, count: jax.Array, images: jax.Array, labels: jax.Array
    ) -> tuple[State, jax.Array]:
        body = lambda _, carry: step(carry[0], key, images, labels)  # noqa: E731
        return lax.fori_loop(0, count, body, (state, jnp.float32(0)))

    return init, chunk


def run_program(
    recipe: Recipe, total: int, state: State, chunk: Callable, num_networks: int = 1, *, quiet: bool
) -> Any:
    """Run all steps of a training program.

    Args:
        recipe: Training recipe.
        total: Number of images of each network.
        state: Initial state.
        chunk: Program `(state, count) -> (state, loss)`.
        num_networks: Number of networks that the program trains.
        quiet: Whether to hide the progress bar.

    Returns:
        The variables of the trained networks.
    """
    steps = _num_steps(recipe, total)
    progress = Progress(0, steps, num_networks * recipe.batch_size, quiet=quiet)
    for first, last in itertools.pairwise([*range(0, steps, CHUNK), steps]):
        state, loss = chunk(state, np.int32(last - first))
        progress.update(last - first, {"loss": float(loss.mean())})
    progress.close()
    return {"params": state.params, **state.stats}


def fit(
    recipe: Recipe,
    images: UInt8[np.ndarray, "n h w c"],
    labels: Int[np.ndarray, " n"],
    classes: int,
    seed: int = 0,
    *,
    quiet: bool = False,
) -> tuple[Network, dict[str, Any]]:
    """Train a classifier on labeled images.

    All random numbers derive from the seed, by purpose, step and position in the batch.

    Args:
        recipe: Training recipe.
        images: Training images.
        labels: Labels of the images, from 0 to `classes` - 1.
        classes: Number of classes.
        seed: Seed of the initialization, of the batches and of the augmentation.
        quiet: Whether to hide the progress bar.

    Returns:
        The network, and its variables.
    """
    network = make_network(recipe, classes)
    init, chunk = map(jax.jit, make_program(recipe, network, images.shape[1:], len(images)))
    key, data = keys.root_key(seed), (jnp.asarray(images), jnp.asarray(labels, jnp.int32))
    step = lambda state, count: chunk(state, key, count, *data)  # noqa: E731
    return network, run_program(recipe, len(images), init(key), step, quiet=quiet)
