"""Conversion of images to uint8 arrays of one shape, with a single resize method."""

import io
import logging
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageOps

from gan_jax.config import ImageData
from gan_jax.core.errors import UserError

log = logging.getLogger(__name__)
MODES = {1: "L", 3: "RGB"}


def decode(file: Path | io.BytesIO, channels: int) -> UInt8[np.ndarray, "h w {channels}"]:
    """Decode an image file.

    Transparent images are composited on white, 16-bit gray levels are scaled to 8 bits, the first
    frame of an animation is used, and the EXIF orientation is applied.

    Args:
        file: Path to the file, or its content.
        channels: Number of channels of the result: 1 (gray) or 3 (RGB).

    Returns:
        The image, uint8 [h, w, channels].

    Raises:
        Exception: If the file is damaged (Pillow's readers raise many types), has 32-bit pixels,
            whose range is not specified, or exceeds Pillow's limit of 89 million pixels, which
            protects against decompression bombs.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # damaged metadata: the pixels may be intact
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        with Image.open(file) as image:
            has_16_bits = image.mode.startswith("I;16") or image.format in ("PNG", "PPM")
            if image.mode == "F" or (image.mode.startswith("I") and not has_16_bits):
                raise ValueError("images with 32-bit pixels are not supported")
            image.load()
            upright = ImageOps.exif_transpose(image)
    if upright.mode.startswith("I"):
        gray = np.asarray(upright, np.float64) / 257  # 65535 / 255
        upright = Image.fromarray(np.rint(gray).astype(np.uint8))
    if upright.has_transparency_data:
        background = Image.new("RGBA", upright.size, "white")
        upright = Image.alpha_composite(background, upright.convert("RGBA"))
    pixels = np.asarray(upright.convert(MODES[channels]))
    return pixels if channels == 3 else pixels[..., None]


def read_header(file: Path) -> tuple[str, tuple[int, int]] | None:
    """Return Pillow's mode and the size (width, height) of an image file without decoding it.

    The result is None if Pillow cannot read the header.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(file) as image:
                return image.mode, image.size
    except Exception:  # Pillow's readers raise exceptions of their own types
        return None


def resize(image: UInt8[np.ndarray, "h w c"], side: int) -> UInt8[np.ndarray, "{side} {side} c"]:
    """Crop the central square of an image and resize it by Pillow's bicubic filter.

    The filter is antialiased. Channels are resized independently, so any number is allowed.

    Args:
        image: Image uint8 [h, w, c].
        side: Side of the result in pixels.

    Returns:
        The image, uint8 [side, side, c].

    Example:
        >>> resize(np.zeros((20, 30, 3), np.uint8), 8).shape
        (8, 8, 3)
    """
    height, width, channels = image.shape
    if (height, width) == (side, side):
        return image
    cut = min(height, width)
    top, left = (height - cut) // 2, (width - cut) // 2
    square = image[top : top + cut, left : left + cut]
    # Pillow would weight the channels of LA and RGBA images by their alpha.
    parts = [square] if channels == 3 else np.moveaxis(square, -1, 0)
    size, bicubic = (side, side), Image.Resampling.BICUBIC
    resized = [np.asarray(Image.fromarray(part).resize(size, bicubic)) for part in parts]
    return resized[0] if channels == 3 else np.stack(resized, -1)


def convert_channels(
    real: UInt8[np.ndarray, "n h w c"], channels: int
) -> UInt8[np.ndarray, "n h w {channels}"]:
    """Convert images between gray (Pillow's L, the luma of ITU-R 601) and RGB.

    Args:
        real: Images uint8 [n, h, w, c].
        channels: Number of channels of the result: 1 or 3.

    Returns:
        The images, uint8 [n, h, w, channels].

    Raises:
        UserError: If c is neither 1 nor 3, nor `channels`.
    """
    if real.shape[-1] == channels:
        return real
    if real.shape[-1] not in MODES:
        raise UserError(
            f"data.channels must be {real.shape[-1]}, as only images of 1 or 3 channels can be "
            f"converted, got {channels}"
        )
    if channels == 3:
        return np.repeat(real, 3, -1)
    gray = [np.asarray(Image.fromarray(image).convert("L")) for image in real]
    return np.stack(gray)[..., None]


def stack_images(images: Sequence[np.ndarray], data: ImageData) -> UInt8[np.ndarray, "n h w c"]:
    """Stack images, cropped and resized to `data.size`.

    Without `data.size`, images of different sizes are resized to the shortest side of any of them,
    with a warning in the log.

    Args:
        images: Images uint8 [h, w, c], at least one.
        data: Options of the data set.

    Returns:
        The images, uint8 [n, h, w, c].
    """
    size, sizes = data.size, {image.shape[:2] for image in images}
    if size is None and len(sizes) > 1:
        size = min(min(sides) for sides in sizes)
        log.warning(
            "%s: images of %d sizes, all resized to the shortest side, %d x %d; set --data.size "
            "for another",
            *(data.name, len(sizes), size, size),
        )
    return np.stack([resize(image, size) for image in images] if size else images)


def conform(real: np.ndarray, data: ImageData) -> np.ndarray:
    """Convert examples to the size and the channels that `data` asks for.

    Args:
        real: Images uint8 [n, h, w, c] or points [n, d], at least one.
        data: Options of the data set.

    Returns:
        The images, or the unchanged points.

    Raises:
        UserError: If image options are set for points.
    """
    if real.ndim != 4:
        for field in ("size", "channels", "symmetric"):
            if getattr(data, field):
                raise UserError(
                    f"data.{field} must not be set for data set {data.name!r}, which has points "
                    f"instead of images, got {getattr(data, field)}"
                )
        return real
    if data.size and real.shape[1:3] != (data.size, data.size):
        real = np.stack([resize(image, data.size) for image in real])
    return convert_channels(real, data.channels) if data.channels else real


def to_pixels(x: np.ndarray, *, symmetric: bool) -> UInt8[np.ndarray, "*shape"]:
    """Convert network outputs to rounded uint8 pixels.

    Args:
        x: Images float [n, h, w, c] in [0, 1], or [-1, 1] if `symmetric`; others are clipped.
        symmetric: Range of the images.

    Returns:
        The images, uint8 [n, h, w, c].

    Example:
        >>> to_pixels(np.array([-1.0, 0.0, 1.0]), symmetric=True).tolist()
        [0, 128, 255]
    """
    unit = (x + 1) / 2 if symmetric else x
    return np.rint(np.clip(unit, 0, 1) * 255).astype(np.uint8)
