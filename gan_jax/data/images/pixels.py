"""Pictures of any kind to uint8 arrays of one shape, by one stated resize."""

import io
import logging
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from gan_jax.config import ImageData
from gan_jax.core.errors import UserError

log = logging.getLogger(__name__)
MODES = {1: "L", 3: "RGB"}


def decode(file: Path | io.BytesIO, channels: int) -> np.ndarray:
    """A picture file as uint8 [h, w, channels], channels 1 (grey) or 3. Raises an Exception, of no
    one kind (Pillow's readers have many), if it is broken.

    Transparency is laid over white; 16-bit grey is scaled to 8; the first frame stands for an
    animation; the EXIF orientation is obeyed. Refused are pictures of 32-bit pixels, whose range no
    file states, and those of more than Pillow's limit of 89 million, which it takes for bombs.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of damaged metadata: the pixels may be whole
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        with Image.open(file) as picture:
            wide = picture.mode.startswith("I;16") or picture.format in ("PNG", "PPM")
            if picture.mode == "F" or (picture.mode.startswith("I") and not wide):
                raise ValueError("pictures of 32-bit pixels are not read")
            picture.load()
            upright = ImageOps.exif_transpose(picture)
    if upright.mode.startswith("I"):
        grey = np.asarray(upright, np.float64) / 257  # 65535 / 255
        upright = Image.fromarray(np.rint(grey).astype(np.uint8))
    if upright.has_transparency_data:
        paper = Image.new("RGBA", upright.size, "white")
        upright = Image.alpha_composite(paper, upright.convert("RGBA"))
    pixels = np.asarray(upright.convert(MODES[channels]))
    return pixels if channels == 3 else pixels[..., None]


def read_header(file: Path) -> tuple[str, tuple[int, int]] | None:
    """Mode, width and height that a picture file says it has, which is not decoded; None where it
    says nothing that Pillow understands."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(file) as picture:
                return picture.mode, picture.size
    except Exception:  # Pillow's readers raise kinds of their own
        return None


def resize(picture: np.ndarray, side: int) -> np.ndarray:
    """uint8 [h, w, c] -> [side, side, c]: the central square, by Pillow's bicubic filter, which
    averages where it shrinks (and so does not alias). Each channel for itself, however many."""
    height, width, channels = picture.shape
    if (height, width) == (side, side):
        return picture
    cut = min(height, width)
    top, left = (height - cut) // 2, (width - cut) // 2
    square = picture[top : top + cut, left : left + cut]
    # Pillow would weigh two or four channels with the last one, its alpha.
    parts = [square] if channels == 3 else np.moveaxis(square, -1, 0)
    size, bicubic = (side, side), Image.Resampling.BICUBIC
    resized = [np.asarray(Image.fromarray(part).resize(size, bicubic)) for part in parts]
    return resized[0] if channels == 3 else np.stack(resized, -1)


def convert_channels(real: np.ndarray, channels: int) -> np.ndarray:
    """uint8 [n, h, w, c] to 1 or 3 channels; grey is Pillow's L, the luma of ITU-R 601.

    Raises UserError if c is neither 1 nor 3, nor `channels`.
    """
    if real.shape[-1] == channels:
        return real
    if real.shape[-1] not in MODES:
        raise UserError(
            f"data.channels is {channels}: pictures of {real.shape[-1]} channels cannot be "
            "converted, only those of 1 or 3"
        )
    if channels == 3:
        return np.repeat(real, 3, -1)
    grey = [np.asarray(Image.fromarray(picture).convert("L")) for picture in real]
    return np.stack(grey)[..., None]


def stack_images(found: Sequence[np.ndarray], data: ImageData) -> np.ndarray:
    """At least one picture uint8 [h, w, c] as one array [n, h, w, c], cropped and resized to
    `data.size`; without it, if they differ in size, to the shortest side of any, with a log."""
    size, sizes = data.size, {picture.shape[:2] for picture in found}
    if size is None and len(sizes) > 1:
        size = min(min(sides) for sides in sizes)
        log.warning(
            "%s: pictures of %d sizes, all brought to %d x %d, the shortest side; --data.size sets "
            "another",
            *(data.name, len(sizes), size, size),
        )
    return np.stack([resize(picture, size) for picture in found] if size else found)


def conform(real: np.ndarray, data: ImageData) -> np.ndarray:
    """Arrays of any source, with at least one example, in the size and the channels that `data`
    asks for. Raises UserError if it asks for them of points [n, d]."""
    if real.ndim != 4:
        for field in ("size", "channels", "symmetric"):
            if getattr(data, field):
                raise UserError(
                    f"data.{field} is {getattr(data, field)}: the data set {data.name!r} holds "
                    "points, not pictures; leave it out"
                )
        return real
    if data.size and real.shape[1:3] != (data.size, data.size):
        real = np.stack([resize(picture, data.size) for picture in real])
    return convert_channels(real, data.channels) if data.channels else real


def to_pixels(x: np.ndarray, *, symmetric: bool) -> np.ndarray:
    """Examples float [n, h, w, c] in [0, 1], or [-1, 1] where `symmetric`, as uint8, rounded."""
    unit = (x + 1) / 2 if symmetric else x
    return np.rint(np.clip(unit, 0, 1) * 255).astype(np.uint8)
