"""Features of pictures: a pure function, its variables, and what a metric card must say of both."""

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

from gan_jax.core import devices as core_devices
from gan_jax.core.errors import UserError

Function = Callable[[Any, jax.Array], jax.Array]
CHANNELS = (1, 3)
COARSE_SIZE = 16  # pixels on a side in `coarse_pixels` of larger images


class Features(Protocol):
    """What metrics need of features; an `Extractor`, or a user's own."""

    @property
    def name(self) -> str:
        """On the card."""
        ...

    @property
    def sha256(self) -> str:
        """Of whatever decides the features."""
        ...

    @property
    def resize(self) -> str:
        """What becomes of a picture first, in words."""
        ...

    @property
    def note(self) -> str:
        """Remarks on the features, such as the accuracy of a classifier."""
        ...

    @property
    def head(self) -> tuple[np.ndarray, np.ndarray] | None:
        """Kernel [d, classes] and bias [classes] of the logits; None where there are none."""
        ...

    def logits(self, features: np.ndarray) -> np.ndarray:
        """Compute logits [n, classes] of features [n, d]; only where there is a head."""
        ...

    def __call__(
        self, images: np.ndarray, devices: Sequence[jax.Device] | None = None
    ) -> np.ndarray:
        """Images uint8 [n, h, w, c] -> features [n, d]."""
        ...


@dataclasses.dataclass(frozen=True, eq=False)
class Extractor:
    """extractor(images) -> features float32 [n, d], for images uint8 [n, h, w, c]."""

    name: str
    """On the card: `mnist-classifier`, `inception-2048`, `pixels`."""
    sha256: str
    """Of whatever decides the function: weights, recipe."""
    resize: str
    """What becomes of a picture first, in words."""
    function: Function
    """(variables, images uint8 [m, h, w, c]) -> [m, d], each row of its own picture alone."""
    variables: Any = None
    head: tuple[np.ndarray, np.ndarray] | None = None
    """Kernel [d, classes] and bias [classes] of the logits, where features have some."""
    shape: tuple[int, int, int] | None = None
    """The only pictures that it takes; None: any."""
    batch: int = 64
    """Pictures in one program; the last ones are filled up, so that one program does."""
    note: str = ""
    """What else is to be known of it: how accurate a classifier is."""
    test_accuracy: float | None = None
    """Accuracy of a classifier on the split `test`, to four digits."""
    _program: Function = dataclasses.field(init=False, repr=False)

    def __post_init__(self):
        object.__setattr__(self, "_program", jax.jit(self.function))

    def __call__(
        self, images: np.ndarray, devices: Sequence[jax.Device] | None = None
    ) -> np.ndarray:
        """Features float32 [n, d], each batch cut over `devices` (by default one).

        Raises UserError unless images are uint8 [n, h, w, 1 or 3], of `shape` if that is given.
        """
        images = np.asarray(images)
        self._check(images)
        devices = devices or jax.local_devices()[:1]
        devices = devices[: math.gcd(len(devices), self.batch)]
        variables, found = core_devices.replicate(self.variables, devices), []
        for first in range(0, len(images), self.batch):
            part = images[first : first + self.batch]
            filling = np.zeros((self.batch - len(part), *part.shape[1:]), np.uint8)
            whole = core_devices.shard(np.concatenate([part, filling]), devices)
            features = np.asarray(self._program(variables, whole), np.float32)
            found.append(features[: len(part)])
        return np.concatenate(found)

    def logits(self, features: np.ndarray) -> np.ndarray:
        """float32 [n, classes] of features [n, d]. Raises UserError where there are none."""
        if self.head is None:
            raise UserError(f"{self.name} features have no logits")
        kernel, bias = self.head
        return features @ kernel + bias

    def _check(self, images: np.ndarray) -> None:
        given = f"{images.dtype} {list(images.shape)}"
        if images.dtype != np.uint8:
            raise UserError(f"images are {given}: they must be uint8, 0 to 255")
        if images.ndim != 4 or images.shape[-1] not in CHANNELS or not images.size:
            raise UserError(f"images are {given}: they must be [n, h, w, 1 or 3], n >= 1")
        if self.shape is not None and images.shape[1:] != self.shape:
            wanted = ", ".join(map(str, self.shape))
            raise UserError(f"images are {given}: {self.name} takes [n, {wanted}]")


def pixels() -> Extractor:
    """The pixels themselves, in [0, 1]."""

    def flat(_: Any, images: jax.Array) -> jax.Array:
        return images.reshape(len(images), -1).astype(jnp.float32) / 255

    return Extractor("pixels", hashlib.sha256(b"pixels / 255").hexdigest(), "none", flat, batch=512)


def coarse_pixels(shape: tuple[int, ...]) -> Extractor:
    """Make the pixel features of images of `shape` [h, w, c] at a bounded size.

    Images with more numbers than a 32 x 32 gray one are resized to COARSE_SIZE, because the moments
    of d features are d x d numbers.
    """
    if np.prod(shape) <= 4 * COARSE_SIZE**2:
        return pixels()
    side = f"{COARSE_SIZE}x{COARSE_SIZE}"

    def flat(_: Any, images: jax.Array) -> jax.Array:
        size = (len(images), COARSE_SIZE, COARSE_SIZE, images.shape[-1])
        small = jax.image.resize(images.astype(jnp.float32) / 255, size, "linear")
        return small.reshape(len(images), -1)

    digest = hashlib.sha256(f"pixels / 255, linear to {side}".encode()).hexdigest()
    return Extractor(f"pixels-{side}", digest, f"linear, {side}", flat, batch=512)


@dataclasses.dataclass(frozen=True, eq=False)
class CustomFeatures:
    """A user's own images -> features, under the name of where it is from."""

    name: str
    function: Callable[[np.ndarray], np.ndarray]
    sha256: str
    """Of its source file: the statistics of reals are made anew when that changes."""
    resize: str = "its own"
    note: str = ""
    head: None = None

    def __call__(
        self,
        images: np.ndarray,
        devices: Sequence[jax.Device] | None = None,  # noqa: ARG002
    ) -> np.ndarray:
        """Features [n, d]."""
        return np.asarray(self.function(images))

    def logits(self, features: np.ndarray) -> np.ndarray:  # noqa: ARG002
        """Raise UserError: a function of images has no logits."""
        raise UserError(f"{self.name} features have no logits")


def wrap_features(function: Callable[[np.ndarray], np.ndarray], name: str) -> Features:
    """Wrap a user's function, unless it is a `Features` already.

    An object with `name`, `sha256` and `resize` alone keeps these.
    """
    labels = ("name", "sha256", "resize")
    if all(hasattr(function, attribute) for attribute in labels):
        features = cast(Features, function)
        if all(hasattr(function, attribute) for attribute in ("note", "head", "logits")):
            return features
        return CustomFeatures(features.name, function, features.sha256, features.resize)
    try:
        source = inspect.getsource(sys.modules[function.__module__])
    except (AttributeError, KeyError, OSError, TypeError):
        source = repr(function)
    return CustomFeatures(name, function, hashlib.sha256(f"{name}\n{source}".encode()).hexdigest())
