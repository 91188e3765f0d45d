"""Layers that the networks share, and the device axis of layers with batch statistics."""

import dataclasses
from typing import Annotated, Any, Literal, TypeVar

import flax.linen as nn
import jax
import jax.numpy as jnp
import tyro
from jax import lax
from jaxtyping import Array, Float, Int, Shaped

# Mapped device axis over which a layer takes batch statistics. A network with such a layer declares
# `axis: Axis = None` and passes it on. The train step sets it, so it is neither a flag nor saved.
Axis = Annotated[str | None, tyro.conf.Suppress]
Activation = Literal["relu", "leaky_relu", "elu", "gelu", "silu", "softplus", "tanh"]
Output = Literal["linear", "sigmoid", "tanh"]
Dtype = Literal["float32", "bfloat16"]
M = TypeVar("M", bound=nn.Module)


def on_axis(module: M, axis: str | None) -> M:
    """Return a copy of a network whose batch-mixing layers work over a device axis.

    The networks among its fields are copied in the same manner.
    """
    if not axis:
        return module
    names = [field.name for field in dataclasses.fields(module) if field.name != "parent"]
    fields = {name: getattr(module, name) for name in names}
    changes: dict[str, Any] = {
        name: on_axis(field, axis) for name, field in fields.items() if isinstance(field, nn.Module)
    }
    if "axis" in names:
        changes["axis"] = axis
    return module.clone(**changes) if changes else module


def activate(x: Float[Array, "*shape"], name: Activation | Output) -> Float[Array, "*shape"]:
    """Apply the named nonlinearity; leaky_relu has slope 0.2, as in DCGAN (1511.06434).

    Example:
        >>> activate(jnp.array([-1.0, 2.0]), "relu").tolist()
        [0.0, 2.0]
    """
    match name:
        case "linear":
            return x
        case "leaky_relu":
            return nn.leaky_relu(x, 0.2)
        case "relu" | "elu" | "gelu" | "silu" | "softplus" | "sigmoid" | "tanh":
            return getattr(nn, name)(x)
    raise ValueError(f"name must be a nonlinearity, got {name!r}")


def batch_norm(
    x: Float[Array, " n *shape"],
    *,
    train: bool,
    axis: str | None,
    dtype: Dtype = "float32",
    scale_init: nn.initializers.Initializer = nn.initializers.ones,
) -> Float[Array, " n *shape"]:
    """Apply batch norm (1502.03167) over the examples of all devices, in a compact method.

    Statistics are float32. The layer before it must have no bias: the gradient of that bias is
    zero, and Adam would turn its rounding errors, which differ with the device count, into steps.

    Args:
        x: Features.
        train: Whether to use and update with the statistics of this batch.
        axis: Mapped device axis.
        dtype: Dtype of the output.
        scale_init: Initializer of the scale.

    Returns:
        Normalized features.
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

    Each training call runs one power iteration on W reshaped to [prod(others), c_out], as in the
    paper (for a convolution this is not the norm of the operator). It is Flax's layer with the call
    signature of the other layers: u and sigma are updated in training and constant otherwise.
    """

    @nn.compact
    def __call__(self, x: Float[Array, " n *shape"], *, train: bool) -> Float[Array, " n *out"]:
        """Apply the layer."""
        return super().__call__(x, update_stats=train)


class MinibatchStd(nn.Module):
    """Minibatch standard deviation (Karras et al. 2018, 1710.10196, sec. 3), one more feature.

    [n, h, w, c] -> [n, h, w, c+1], or [n, d] -> [n, d+1]: the standard deviation over a group of
    examples, averaged over all features and positions, in float32. Groups are taken from the whole
    batch, over all devices, with the stride of StyleGAN2's code (example i is in group
    i mod n/group_size).
    """

    group_size: int = 4
    """Number of examples per group; must divide the batch or exceed it."""
    axis: str | None = None
    """Mapped device axis."""

    @nn.compact
    def __call__(self, x: Float[Array, " n *shape"]) -> Float[Array, " n *out"]:
        """Apply the layer."""
        n = len(x)
        batch = lax.all_gather(x, self.axis, tiled=True) if self.axis else x
        group = min(self.group_size, len(batch))
        if len(batch) % group:
            raise ValueError(f"minibatch_std must divide the {len(batch)} examples, got {group}")
        y = batch.astype(jnp.float32).reshape(group, -1, *x.shape[1:])  # [g, n/g, ...]
        y = jnp.sqrt(jnp.square(y - y.mean(0, keepdims=True)).mean(0) + 1e-8)
        y = y.reshape(len(y), -1).mean(1)  # [n/g]
        y = jnp.tile(y, group)
        y = lax.dynamic_slice_in_dim(y, lax.axis_index(self.axis) * n, n) if self.axis else y
        y = jnp.broadcast_to(y.reshape(n, *[1] * (x.ndim - 1)), (*x.shape[:-1], 1))
        return jnp.concatenate([x, y.astype(x.dtype)], -1)


def one_hot(cond: Int[Array, " n"] | None, classes: int, n: int) -> Float[Array, "n classes"]:
    """Encode class labels as one-hot rows.

    Args:
        cond: Class labels, or None.
        classes: Number of classes; 0: no labels.
        n: Number of examples.

    Returns:
        One-hot rows, float32 [n, classes].

    Raises:
        ValueError: If there are labels but no classes, or classes but no labels.

    Example:
        >>> one_hot(jnp.array([1, 0]), 2, 2).tolist()
        [[0.0, 1.0], [1.0, 0.0]]
    """
    if (cond is None) != (classes == 0):
        allowed, got = ("labels", "no labels") if cond is None else ("None", "labels")
        raise ValueError(f"cond must be {allowed} for a network of {classes} classes, got {got}")
    return jnp.zeros((n, 0)) if cond is None else jax.nn.one_hot(cond, classes)


def projection(
    labels: Float[Array, "n classes"],
    features: Float[Array, "n d"],
    kernel_init: nn.initializers.Initializer,
) -> Float[Array, " n"]:
    """Compute the projection term <embed(y), phi(x)> of conditional logits.

    Miyato & Koyama 2018 (1802.05637). Call it in a compact method.

    Args:
        labels: One-hot labels y.
        features: Features phi(x).
        kernel_init: Initializer of the embedding.

    Returns:
        The term that is added to the logits, float32.
    """
    # A product instead of a gather, for its gradient: see resnet.ConditionalBatchNorm.
    embed = nn.Dense(
        features.shape[-1],
        use_bias=False,
        kernel_init=kernel_init,
        precision="highest",
        name="embed",
    )
    return (embed(labels) * features.astype(jnp.float32)).sum(-1)


def check_side(network: str, size: int, x: Shaped[Array, "n h w c"]) -> None:
    """Check that images have the side of the network that they are passed to.

    Args:
        network: Name of the network, for the message.
        size: Side in pixels.
        x: Images.

    Raises:
        ValueError: If the images are not `size` x `size`.
    """
    if x.shape[1:3] != (size, size):
        height, width = x.shape[1:3]
        raise ValueError(f"{network}: images must be {size}x{size}, got {height}x{width}")


def space_to_depth(x: Shaped[Array, "n h w c"], patch: int = 2) -> Shaped[Array, "n h2 w2 c2"]:
    """Move squares of pixels into channels: [n, h, w, c] -> [n, h/patch, w/patch, patch^2 c].

    Channel order is pixel by pixel, row by row.

    Example:
        >>> space_to_depth(jnp.zeros((1, 4, 4, 3))).shape
        (1, 2, 2, 12)
    """
    n, height, width, channels = x.shape
    x = x.reshape(n, height // patch, patch, width // patch, patch, channels)
    return x.swapaxes(2, 3).reshape(n, height // patch, width // patch, -1)


def depth_to_space(x: Shaped[Array, "n h2 w2 c2"], patch: int = 2) -> Shaped[Array, "n h w c"]:
    """Invert `space_to_depth`: [n, h/patch, w/patch, patch^2 c] -> [n, h, w, c]."""
    n, height, width, channels = x.shape
    x = x.reshape(n, height, width, patch, patch, channels // patch**2).swapaxes(2, 3)
    return x.reshape(n, height * patch, width * patch, -1)


def sow_class_logits(module: nn.Module, class_logits: Float[Array, "n classes"]) -> None:
    """Sow the logits of a class head into the collection `auxiliary`.

    They are `auxiliary/class_logits`, float32, if the module is applied with `mutable="auxiliary"`,
    and not part of the state. The discriminator must have `auxiliary` (interface.py).
    """
    _sow(module, "class_logits", class_logits)


def sow_features(module: nn.Module, stage: int, features: Float[Array, " n *shape"]) -> None:
    """Sow the features of a stage into the collection `auxiliary`, as `sow_class_logits` does.

    The discriminator must have `returns_features` (interface.py).

    Args:
        module: Discriminator.
        stage: Number of the stage; the features are `auxiliary/features_<stage>`, float32.
        features: Features of the stage.
    """
    _sow(module, f"features_{stage}", features)


def _sow(module: nn.Module, name: str, output: Array) -> None:
    if not module.is_initializing():
        output = output.astype(jnp.float32)
        overwrite = {"init_fn": lambda: output, "reduce_fn": lambda _, latest: latest}
        module.sow("auxiliary", name, output, **overwrite)
