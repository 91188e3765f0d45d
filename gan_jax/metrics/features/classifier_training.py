"""A small convolutional classifier of pictures, and its training: one program, decided by a seed.

Convolutions of 3x3 with batch norm (Ioffe & Szegedy 2015, 1502.03167), pooled to the mean of the
last stage as in Network in Network (Lin et al. 2014, 1312.4400). A picture is first folded, the
four pixels of every 2x2 becoming channels of one, which quarters the work and loses nothing.
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

from gan_jax.core import keys
from gan_jax.core.keys import Purpose
from gan_jax.core.progress import Progress
from gan_jax.data import order
from gan_jax.networks import layers
from gan_jax.networks.conv.layers import Conv

CHUNK = 50  # steps between two reports of progress


@dataclasses.dataclass(frozen=True)
class Recipe:
    """AdamW (1711.05101) with a warm-up and a cosine to zero, on randomly moved pictures."""

    widths: tuple[int, ...] = (32, 64, 64)
    """Channels of each stage, between which pictures are halved."""
    depths: tuple[int, ...] = (1, 1, 1)
    """Convolutions of each stage."""
    features: int = 128
    """Channels of the last convolution."""
    epochs: float = 6
    batch_size: int = 128
    lr: float = 4e-3
    warmup: float = 0.2
    """Share of the steps."""
    weight_decay: float = 0.02
    label_smoothing: float = 0.1
    shift: int = 2
    """Pictures are moved by up to so many pixels along both axes."""
    slant: float = 0.0
    """Pictures are turned and sheared: each axis leans by up to so many pixels a pixel."""
    zoom: float = 0.0
    """Each axis is stretched or shrunk by up to this share."""
    flip: bool = False
    """Half of the pictures are turned left to right."""


def _halve(x: jax.Array) -> jax.Array:
    """[n, 2h, 2w, c] -> [n, h, w, c]: the largest of every 2x2. nn.max_pool's gradient is slow on
    CPUs."""
    a, b, c, d = (x[:, i::2, j::2] for i in (0, 1) for j in (0, 1))
    return jnp.maximum(jnp.maximum(a, b), jnp.maximum(c, d))


class Network(nn.Module):
    """Pictures float32 [n, h, w, c] in [0, 1] -> features [n, d] >= 0, logits [n, classes]."""

    widths: tuple[int, ...]
    depths: tuple[int, ...]
    features: int
    classes: int

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> tuple[jax.Array, jax.Array]:
        multiple = 1 << len(self.widths)
        sides = [(-side) % multiple for side in x.shape[1:3]]
        x = jnp.pad(x, ((0, 0), *((side // 2, side - side // 2) for side in sides), (0, 0)))
        y = layers.space_to_depth(x)
        stages = [[width] * depth for width, depth in zip(self.widths, self.depths, strict=True)]
        stages[-1][-1] = self.features
        for i, stage in enumerate(stages):
            for j, width in enumerate(stage):
                y = Conv(width, use_bias=False, kernel_init=nn.initializers.he_normal())(y)
                if i < len(stages) - 1 and j == len(stage) - 1:
                    y = _halve(y)  # before the norm, which then has a quarter of the work
                y = nn.relu(layers.batch_norm(y, train=train, axis=None))
        features = y.mean((1, 2))
        return features, nn.Dense(self.classes, name="head")(features)


class State(flax.struct.PyTreeNode):
    """All that changes during training."""

    step: jax.Array
    params: Any
    stats: Any
    opt_state: Any


def warp(image: jax.Array, matrix: jax.Array) -> jax.Array:
    """float32 [h, w, c] -> the same: at each place, counted down and right from the middle, is what
    was at `matrix` [2, 2] times that place. Bilinear, with zeros from outside."""
    middle = (jnp.array(image.shape[:2]) - 1).reshape(2, 1, 1) / 2
    places = jnp.mgrid[: image.shape[0], : image.shape[1]] - middle
    sources = list(jnp.tensordot(matrix, places, 1) + middle)
    return jax.vmap(lambda x: ndimage.map_coordinates(x, sources, order=1), -1, -1)(image)


def _augment(recipe: Recipe, image: jax.Array, key: jax.Array) -> jax.Array:
    """uint8 [h, w, c] -> float32 in [0, 1], moved as the recipe says, with zeros from outside."""
    shift, at = recipe.shift, jax.random.split(key, 3)
    image = image.astype(jnp.float32) / 255
    if recipe.slant or recipe.zoom:
        most = jnp.array([[recipe.zoom, recipe.slant], [recipe.slant, recipe.zoom]])
        image = warp(image, jnp.eye(2) + most * jax.random.uniform(at[2], (2, 2), minval=-1.0))
    padded = jnp.pad(image, ((shift, shift), (shift, shift), (0, 0)))
    y, x = jax.random.randint(at[0], (2,), 0, 2 * shift + 1)
    image = lax.dynamic_slice(padded, (y, x, 0), image.shape)
    if recipe.flip:
        image = jnp.where(jax.random.bernoulli(at[1]), image[:, ::-1], image)
    return image


def make_network(recipe: Recipe, classes: int) -> Network:
    """The network that the recipe trains."""
    return Network(recipe.widths, recipe.depths, recipe.features, classes)


def _steps(recipe: Recipe, total: int) -> int:
    return math.ceil(recipe.epochs * total / recipe.batch_size)


def _optimizer(recipe: Recipe, total: int) -> optax.GradientTransformation:
    steps = _steps(recipe, total)
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
    noise = keys.step_key(key, Purpose.AUGMENT, state.step)
    noise = keys.example_keys(noise, recipe.batch_size)
    x = jax.vmap(_augment, (None, 0, 0))(recipe, images[batch], noise)
    target = optax.smooth_labels(
        jax.nn.one_hot(labels[batch], network.classes), recipe.label_smoothing
    )

    def loss(params: Any) -> tuple[jax.Array, Any]:
        (_, logits), stats = network.apply(
            {"params": params, **state.stats}, x, train=True, mutable=list(state.stats)
        )
        return optax.softmax_cross_entropy(logits, target).mean(), dict(stats)

    (value, stats), grads = jax.value_and_grad(loss, has_aux=True)(state.params)
    updates, opt_state = optimizer.update(grads, state.opt_state, state.params)
    params = optax.apply_updates(state.params, updates)
    return State(state.step + 1, params, stats, opt_state), value


def make_program(
    recipe: Recipe, network: Network, shape: tuple[int, ...], total: int
) -> tuple[Callable, Callable]:
    """Make the functions that initialize and train a classifier, to be compiled.

    Args:
      recipe: how it is trained.
      network: the classifier.
      shape: the shape of an image.
      total: the number of images.

    Returns:
      init(key) -> state, and chunk(state, key, count, images, labels) -> (state, loss): `count`
      steps on images uint8 [total, *shape] with labels int32 [total].
    """
    optimizer = _optimizer(recipe, total)
    step = functools.partial(_train_step, recipe, network, optimizer)

    def init(key: jax.Array) -> State:
        first = jnp.zeros((1, *shape))
        stats = dict(network.init(keys.step_key(key, Purpose.INIT_DISC, 0), first, train=False))
        params = stats.pop("params")
        return State(jnp.int32(0), params, stats, optimizer.init(params))

    def chunk(
        state: State, key: jax.Array, count: jax.Array, images: jax.Array, labels: jax.Array
    ) -> tuple[State, jax.Array]:
        body = lambda _, carry: step(carry[0], key, images, labels)  # noqa: E731
        return lax.fori_loop(0, count, body, (state, jnp.float32(0)))

    return init, chunk


def run_program(
    recipe: Recipe, total: int, state: State, chunk: Callable, of: int = 1, *, quiet: bool
) -> Any:
    """The variables after all steps of chunk(state, count) -> (state, loss) `of` many networks."""
    steps = _steps(recipe, total)
    progress = Progress(0, steps, of * recipe.batch_size, quiet=quiet)
    for first, last in itertools.pairwise([*range(0, steps, CHUNK), steps]):
        state, value = chunk(state, np.int32(last - first))
        progress.update(last - first, {"loss": float(value.mean())})
    progress.close()
    return {"params": state.params, **state.stats}


def fit(
    recipe: Recipe,
    images: np.ndarray,
    labels: np.ndarray,
    classes: int,
    seed: int = 0,
    *,
    quiet: bool = False,
) -> tuple[Network, dict[str, Any]]:
    """The network trained on images uint8 [n, h, w, c] with labels [n], and its variables.

    All that is random is drawn from the seed, by purpose, step and place in the batch.
    """
    network = make_network(recipe, classes)
    init, chunk = map(jax.jit, make_program(recipe, network, images.shape[1:], len(images)))
    key, data = keys.root_key(seed), (jnp.asarray(images), jnp.asarray(labels, jnp.int32))
    step = lambda state, count: chunk(state, key, count, *data)  # noqa: E731
    return network, run_program(recipe, len(images), init(key), step, quiet=quiet)
