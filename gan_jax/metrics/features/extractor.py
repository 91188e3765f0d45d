"""Feature extractors: a pure function of images, its variables, and their description."""

import dataclasses
import hashlib
import inspect
import math
import sys
from collections.abc import Callable, Sequence
from typing import Any, Protocol, cast

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Shaped, UInt8

from gan_jax.core import devices as core_devices
from gan_jax.core.errors import UserError

Function = Callable[[Any, jax.Array], jax.Array]
CHANNELS = (1, 3)
COARSE_SIZE = 16  # side of the images in `coarse_pixels`


class Features(Protocol):
    """Interface of features: an `Extractor`, or a custom class."""

    @property
    def name(self) -> str:
        """Name in score cards."""
        ...

    @property
    def sha256(self) -> str:
        """Hash of everything that determines the features."""
        ...

    @property
    def resize(self) -> str:
        """Preprocessing of the images, in words."""
        ...

    @property
    def note(self) -> str:
        """Remarks on the features, such as the accuracy of a classifier."""
        ...

    @property
    def head(self) -> tuple[np.ndarray, np.ndarray] | None:
        """Kernel [d, classes] and bias [classes] of the logits, if any."""
        ...

    def logits(self, features: Shaped[np.ndarray, "n d"]) -> Float[np.ndarray, "n classes"]:
        """Compute the logits of features; requires a head."""
        ...

    def __call__(
        self, images: UInt8[np.ndarray, "n h w c"], devices: Sequence[jax.Device] | None = None
    ) -> Shaped[np.ndarray, "n d"]:
        """Compute the features of images, on `devices` or by default one."""
        ...


@dataclasses.dataclass(frozen=True, eq=False)
class Extractor:
    """Feature extractor: a pure function of images, its variables and their description."""

    name: str
    """Name in score cards: `mnist-classifier`, `inception-2048`, `pixels`."""
    sha256: str
    """Hash of everything that determines the features: weights, recipe."""
    resize: str
    """Preprocessing of the images, in words."""
    function: Function
    """Function `(variables, images uint8 [m, h, w, c]) -> features [m, d]`.

    Each row must depend on the image of that row only."""
    variables: Any = None
    """Variables of `function`."""
    head: tuple[np.ndarray, np.ndarray] | None = None
    """Kernel [d, classes] and bias [classes] of the logits, if any."""
    shape: tuple[int, int, int] | None = None
    """Required shape of an image [h, w, c]. None: any shape."""
    batch: int = 64
    """Number of images in one program call; the last batch is padded to it."""
    note: str = ""
    """Remarks on the features, such as the accuracy of a classifier."""
    test_accuracy: float | None = None
    """Accuracy of a classifier on the split `test`, to four digits."""
    _program: Function = dataclasses.field(init=False, repr=False)

    def __post_init__(self):
        """Compile the function."""
        object.__setattr__(self, "_program", jax.jit(self.function))

    def __call__(
        self, images: UInt8[np.ndarray, "n h w c"], devices: Sequence[jax.Device] | None = None
    ) -> Float[np.ndarray, "n d"]:
        """Compute the features of images.

        Args:
            images: Images with 1 or 3 channels, of `shape` if that is set.
            devices: Devices to shard each batch over. None: one.

        Returns:
            Features float32 [n, d].

        Raises:
            UserError: If the images have another dtype or shape.

        Example:
            >>> pixels()(np.zeros((2, 8, 8, 1), np.uint8)).shape
            (2, 64)
        """
        images = np.asarray(images)
        self._check(images)
        devices = devices or jax.local_devices()[:1]
        devices = devices[: math.gcd(len(devices), self.batch)]
        variables, parts = core_devices.replicate(self.variables, devices), []
        for first in range(0, len(images), self.batch):
            part = images[first : first + self.batch]
            padding = np.zeros((self.batch - len(part), *part.shape[1:]), np.uint8)
            batch = core_devices.shard(np.concatenate([part, padding]), devices)
            features = np.asarray(self._program(variables, batch), np.float32)
            parts.append(features[: len(part)])
        return np.concatenate(parts)

    def logits(self, features: Shaped[np.ndarray, "n d"]) -> Float[np.ndarray, "n classes"]:
        """Compute the logits of features. Raises UserError without a head."""
        if self.head is None:
            raise UserError(f"{self.name} features have no logits")
        kernel, bias = self.head
        return features @ kernel + bias

    def _check(self, images: np.ndarray) -> None:
        actual = f"{images.dtype} {list(images.shape)}"
        if images.dtype != np.uint8:
            raise UserError(f"images must be uint8, 0 to 255, got {actual}")
        if images.ndim != 4 or images.shape[-1] not in CHANNELS or not images.size:
            raise UserError(f"images must be [n, h, w, 1 or 3] with n >= 1, got {actual}")
        if self.shape is not None and images.shape[1:] != self.shape:
            shape = ", ".join(map(str, self.shape))
            raise UserError(f"images must be [n, {shape}] for {self.name}, got {actual}")


def pixels() -> Extractor:
    """Make the features that are the pixels in [0, 1]."""

    def flatten(_: Any, images: jax.Array) -> jax.Array:
        return images.reshape(len(images), -1).astype(jnp.float32) / 255

    return Extractor(
        "pixels", hashlib.sha256(b"pixels / 255").hexdigest(), "none", flatten, batch=512
    )


def coarse_pixels(shape: tuple[int, ...]) -> Extractor:
    """Make the pixel features of images of `shape` [h, w, c] at a bounded size.

    Images with more values than a 32 x 32 gray image are resized to COARSE_SIZE, because the
    moments of d features take d x d values.

    Example:
        >>> coarse_pixels((64, 64, 3)).name
        'pixels-16x16'
    """
    if np.prod(shape) <= 4 * COARSE_SIZE**2:
        return pixels()
    side = f"{COARSE_SIZE}x{COARSE_SIZE}"

    def resize(_: Any, images: jax.Array) -> jax.Array:
        size = (len(images), COARSE_SIZE, COARSE_SIZE, images.shape[-1])
        small = jax.image.resize(images.astype(jnp.float32) / 255, size, "linear")
        return small.reshape(len(images), -1)

    digest = hashlib.sha256(f"pixels / 255, linear to {side}".encode()).hexdigest()
    return Extractor(f"pixels-{side}", digest, f"linear, {side}", resize, batch=512)


@dataclasses.dataclass(frozen=True, eq=False)
class CustomFeatures:
    """Features by a custom function of images."""

    name: str
    """Name in score cards, such as `module:function`."""
    function: Callable[[np.ndarray], np.ndarray]
    """Function from images uint8 [n, h, w, c] to features [n, d]."""
    sha256: str
    """Hash of the source file: statistics of real images are computed again when it changes."""
    resize: str = "its own"
    """Preprocessing of the images, in words."""
    note: str = ""
    """Remarks on the features."""
    head: None = None
    """Head of the logits: none."""

    def __call__(
        self,
        images: UInt8[np.ndarray, "n h w c"],
        devices: Sequence[jax.Device] | None = None,  # noqa: ARG002
    ) -> Shaped[np.ndarray, "n d"]:
        """Compute the features of images."""
        return np.asarray(self.function(images))

    def logits(self, features: Shaped[np.ndarray, "n d"]) -> np.ndarray:  # noqa: ARG002
        """Raise UserError: a function of images has no logits."""
        raise UserError(f"{self.name} features have no logits")


def wrap_features(function: Callable[[np.ndarray], np.ndarray], name: str) -> Features:
    """Wrap a custom function as features, unless it implements `Features`.

    Attributes `name`, `sha256` and `resize` of the function are kept if all are present.

    Example:
        >>> features = wrap_features(lambda images: images.mean((1, 2)), "mean")
        >>> features.name, features(np.zeros((2, 8, 8, 3), np.uint8)).shape
        ('mean', (2, 3))
    """
    description = ("name", "sha256", "resize")
    if all(hasattr(function, attribute) for attribute in description):
        features = cast(Features, function)
        if all(hasattr(function, attribute) for attribute in ("note", "head", "logits")):
            return features
        return CustomFeatures(features.name, function, features.sha256, features.resize)
    try:
        source = inspect.getsource(sys.modules[function.__module__])
    except (AttributeError, KeyError, OSError, TypeError):
        source = repr(function)
    return CustomFeatures(name, function, hashlib.sha256(f"{name}\n{source}".encode()).hexdigest())
