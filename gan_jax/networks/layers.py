"""Layers that the networks share, and what a network must know of the devices."""

import dataclasses
from typing import Annotated, Any, Literal, TypeVar

import flax.linen as nn
import jax
import jax.numpy as jnp
import tyro
from jax import lax

# The mapped device axis over which a layer takes batch statistics. A network with such a layer
# declares `axis: Axis = None` and hands it on; the step sets it, so it is no flag and not written.
Axis = Annotated[str | None, tyro.conf.Suppress]
Activation = Literal["relu", "leaky_relu", "elu", "gelu", "silu", "softplus", "tanh"]
Output = Literal["linear", "sigmoid", "tanh"]
Dtype = Literal["float32", "bfloat16"]
M = TypeVar("M", bound=nn.Module)


def on_axis(module: M, axis: str | None) -> M:
    """Let the batch-mixing layers of a network, and of its fields, work over a device axis too."""
    if not axis:
        return module
    names = [field.name for field in dataclasses.fields(module) if field.name != "parent"]
    inside = {name: getattr(module, name) for name in names}
    changes: dict[str, Any] = {
        name: on_axis(value, axis) for name, value in inside.items() if isinstance(value, nn.Module)
    }
    if "axis" in names:
        changes["axis"] = axis
    return module.clone(**changes) if changes else module


def activate(x: jax.Array, name: Activation | Output) -> jax.Array:
    """The named nonlinearity; leaky_relu has slope 0.2, as in DCGAN (1511.06434)."""
    match name:
        case "linear":
            return x
        case "leaky_relu":
            return nn.leaky_relu(x, 0.2)
        case "relu" | "elu" | "gelu" | "silu" | "softplus" | "sigmoid" | "tanh":
            return getattr(nn, name)(x)
    raise ValueError(f"unknown nonlinearity {name!r}")


def batch_norm(
    x: jax.Array,
    *,
    train: bool,
    axis: str | None,
    dtype: Dtype = "float32",
    scale_init: nn.initializers.Initializer = nn.initializers.ones,
) -> jax.Array:
    """Batch norm (1502.03167) over the examples of all devices, statistics in float32.

    Call it in a compact method. The layer before it must have no bias: its gradient is zero, and
    Adam would turn the rounding errors of it, different on each device count, into steps.
    """
    norm = nn.BatchNorm(
        use_running_average=not train,
        momentum=0.9,
        axis_name=axis,
        dtype=dtype,
        scale_init=scale_init,
    )
    return norm(x)


class SpectralNorm(nn.SpectralNorm):
    """Spectral norm (1802.05957, alg. 1): the wrapped layer's weight W becomes W / sigma(W).

    One power iteration a training call on W reshaped to [prod(others), c_out], as in the paper (for
    a convolution this is not the operator's norm). Flax's own, but as the networks call their
    layers: sigma follows u where u is updated, and `u` rests where `train` is false.
    """

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        return super().__call__(x, update_stats=train)


class MinibatchStd(nn.Module):
    """Minibatch standard deviation (Karras et al. 2018, 1710.10196, sec. 3): one feature more.

    [n, h, w, c] -> [n, h, w, c+1], or [n, d] -> [n, d+1]: the standard deviation over a group of
    examples, averaged over all features and places. Groups of at most `group_size` are taken from
    the whole batch, over all devices, with the stride of StyleGAN2's code (example i is in group
    i mod n/group_size), in float32. `group_size` must divide the batch, or exceed it.
    """

    group_size: int = 4
    axis: str | None = None

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        n = len(x)
        everyone = lax.all_gather(x, self.axis, tiled=True) if self.axis else x
        group = min(self.group_size, len(everyone))
        if len(everyone) % group:
            raise ValueError(
                f"minibatch std: groups of {group} do not divide {len(everyone)} examples"
            )
        y = everyone.astype(jnp.float32).reshape(group, -1, *x.shape[1:])  # [g, n/g, ...]
        y = jnp.sqrt(jnp.square(y - y.mean(0, keepdims=True)).mean(0) + 1e-8)
        y = y.reshape(len(y), -1).mean(1)  # [n/g]
        y = jnp.tile(y, group)
        y = lax.dynamic_slice_in_dim(y, lax.axis_index(self.axis) * n, n) if self.axis else y
        y = jnp.broadcast_to(y.reshape(n, *[1] * (x.ndim - 1)), (*x.shape[:-1], 1))
        return jnp.concatenate([x, y.astype(x.dtype)], -1)


def one_hot(cond: jax.Array | None, classes: int, n: int) -> jax.Array:
    """Class labels [n] as rows [n, classes] float32, or [n, 0] where `classes` is 0.

    Raises ValueError where a network is given labels that it has no classes for, or none where it
    needs them.
    """
    if (cond is None) != (classes == 0):
        given = "no labels" if cond is None else "labels"
        raise ValueError(f"a network of {classes} classes is given {given}")
    return jnp.zeros((n, 0)) if cond is None else jax.nn.one_hot(cond, classes)


def projection(
    labels: jax.Array, features: jax.Array, kernel_init: nn.initializers.Initializer
) -> jax.Array:
    """What a critic of classes adds to its logits (Miyato & Koyama 2018, 1802.05637): <embed(y),
    phi(x)> [n] float32 of one-hot labels [n, classes] and features [n, d]. In a compact method."""
    # A product rather than a gather, for its gradient: see ConditionalBatchNorm.
    embed = nn.Dense(
        features.shape[-1],
        use_bias=False,
        kernel_init=kernel_init,
        precision="highest",
        name="embed",
    )
    return (embed(labels) * features.astype(jnp.float32)).sum(-1)


def check_side(network: str, size: int, x: jax.Array) -> None:
    """Raises ValueError unless x [n, h, w, c] are pictures of `size` pixels a side."""
    if x.shape[1:3] != (size, size):
        raise ValueError(f"{network}: size is {size}, pictures are {x.shape[1]}x{x.shape[2]}")


def space_to_depth(x: jax.Array, patch: int = 2) -> jax.Array:
    """[n, h, w, c] -> [n, h/patch, w/patch, patch^2 c]: squares of pixels become channels, one
    pixel after the other."""
    n, height, width, channels = x.shape
    x = x.reshape(n, height // patch, patch, width // patch, patch, channels)
    return x.swapaxes(2, 3).reshape(n, height // patch, width // patch, -1)


def depth_to_space(x: jax.Array, patch: int = 2) -> jax.Array:
    """The inverse of `fold`."""
    n, height, width, channels = x.shape
    x = x.reshape(n, height, width, patch, patch, channels // patch**2).swapaxes(2, 3)
    return x.reshape(n, height * patch, width * patch, -1)


def sow_class_logits(module: nn.Module, class_logits: jax.Array) -> None:
    """Return a class head's logits [n, classes] beside those of the discriminator.

    They are auxiliary/class_logits, float32, if the module is applied with `mutable="auxiliary"`;
    they are no state. The discriminator must be `auxiliary` (gan_jax/networks/interface.py).
    """
    _sow(module, "class_logits", class_logits)


def sow_features(module: nn.Module, stage: int, features: jax.Array) -> None:
    """Return the features of a stage beside the logits, likewise, as auxiliary/features_<stage>.

    The discriminator must have `returns_features` (gan_jax/networks/interface.py).
    """
    _sow(module, f"features_{stage}", features)


def _sow(module: nn.Module, name: str, value: jax.Array) -> None:
    if not module.is_initializing():
        wide = value.astype(jnp.float32)
        latest = {"init_fn": lambda: wide, "reduce_fn": lambda _, new: new}
        module.sow("auxiliary", name, wide, **latest)
