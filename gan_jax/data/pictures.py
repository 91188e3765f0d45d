"""Pictures of any kind to uint8 arrays of one shape, by one stated resize."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from gan_jax.config import Data
from gan_jax.errors import UserError

MODES = {1: "L", 3: "RGB"}


def decode(path: Path, channels: int) -> np.ndarray:
    """A picture file as uint8 [h, w, channels]. Raises OSError or ValueError if it is broken.

    Transparency is laid over white; 16-bit grey is scaled to 8; the first frame stands for an
    animation; the EXIF orientation is obeyed.
    """
    from PIL import ImageOps

    with Image.open(path) as picture:
        picture.load()
        picture = ImageOps.exif_transpose(picture)
        if picture.mode.startswith("I") or picture.mode == "F":
            values = np.asarray(picture, np.float64)
            wide = picture.mode.startswith("I;16") or values.max(initial=0) > 255
            picture = Image.fromarray((values / (257 if wide else 1)).clip(0, 255).astype(np.uint8))
        if "A" in picture.getbands() or "transparency" in picture.info:
            picture = picture.convert("RGBA")
            paper = Image.new("RGBA", picture.size, "white")
            picture = Image.alpha_composite(paper, picture)
        return np.asarray(picture.convert(MODES[channels])).reshape(*picture.size[::-1], channels)


def resize(picture: np.ndarray, side: int) -> np.ndarray:
    """uint8 [h, w, c] -> [side, side, c]: the central square, by Pillow's bicubic filter, which
    averages where it shrinks (and so does not alias)."""
    height, width, channels = picture.shape
    if (height, width) == (side, side):
        return picture
    cut = min(height, width)
    top, left = (height - cut) // 2, (width - cut) // 2
    image = Image.fromarray(picture[top : top + cut, left : left + cut].squeeze())
    resized = image.resize((side, side), Image.Resampling.BICUBIC)
    return np.asarray(resized).reshape(side, side, channels)


def recolour(real: np.ndarray, channels: int) -> np.ndarray:
    """uint8 [n, h, w, c] to 1 or 3 channels; grey is Pillow's L, the luma of ITU-R 601."""
    if real.shape[-1] == channels:
        return real
    if channels == 3:
        return np.repeat(real, 3, -1)
    grey = [np.asarray(Image.fromarray(picture).convert("L")) for picture in real]
    return np.stack(grey)[..., None]


def stack(found: Sequence[np.ndarray], data: Data) -> np.ndarray:
    """Pictures [h, w, c] as one array, resized if `data.size` asks for it. Raises UserError if
    they differ in shape and it does not."""
    if data.size:
        found = [resize(picture, data.size) for picture in found]
    shapes = sorted({picture.shape for picture in found})
    if len(shapes) > 1:
        raise UserError(
            f"data set {data.name!r} has pictures of {len(shapes)} shapes, such as {shapes[0]} and "
            f"{shapes[-1]}: give --data.size to crop and resize them"
        )
    return np.stack(found) if found else np.zeros((0, 1, 1, 1), np.uint8)


def conform(real: np.ndarray, data: Data) -> np.ndarray:
    """Arrays of any source in the size and the channels that `data` asks for."""
    if real.ndim != 4:
        return real
    if data.size and real.shape[1:3] != (data.size, data.size):
        real = np.stack([resize(picture, data.size) for picture in real])
    return recolour(real, data.channels) if data.channels else real
