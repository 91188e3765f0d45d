"""Pictures of samples: grids, densities, film strips. uint8 arrays in, Pillow images out."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

WIDTH = 560  # pixels that a grid is about, and a density exactly, wide
REAL, FAKE = (170, 170, 170), (230, 90, 20)


def to_pixels(x: np.ndarray, *, symmetric: bool) -> np.ndarray:
    """Examples float [n, h, w, c] in [0, 1], or [-1, 1] where `symmetric`, as uint8, rounded."""
    unit = (x + 1) / 2 if symmetric else x
    return np.rint(np.clip(unit, 0, 1) * 255).astype(np.uint8)


def grid(pixels: np.ndarray, columns: int) -> Image.Image:
    """uint8 [n, h, w, c] row by row, a pixel of white between; small pictures are enlarged by a
    whole factor, without smoothing. The last row may be short."""
    n, height, width, channels = pixels.shape
    rows = -(-n // columns)
    canvas = np.full((rows * (height + 1) + 1, columns * (width + 1) + 1, channels), 255, np.uint8)
    for i, picture in enumerate(pixels):
        top, left = i // columns * (height + 1) + 1, i % columns * (width + 1) + 1
        canvas[top : top + height, left : left + width] = picture
    image = Image.fromarray(canvas.squeeze(-1) if channels == 1 else canvas)
    factor = max(1, round(WIDTH / image.width))
    return image.resize((image.width * factor, image.height * factor), Image.Resampling.NEAREST)


def density(fake: np.ndarray, real: np.ndarray) -> Image.Image:
    """Points [n, d] of the generator in orange over those of the data in grey, on a square that
    holds the data with a margin of a quarter; x to the right, y (if any) up."""
    reach = 1.25 * (np.abs(real[:, :2]).max() or 1.0)
    canvas = np.full((WIDTH, WIDTH, 3), 255, np.uint8)
    for points, colour in ((real, REAL), (fake, FAKE)):
        points = np.pad(points, ((0, 0), (0, 1)))[:, :2]
        points = points[(np.abs(points) <= reach).all(1)]
        place = np.rint((points / reach + 1) / 2 * (WIDTH - 1)).astype(int)
        place = place[((place >= 1) & (place < WIDTH - 1)).all(1)]
        for dx, dy in ((0, 0), (1, 0), (0, 1), (1, 1)):  # dots of 2x2
            canvas[WIDTH - 1 - place[:, 1] - dy, place[:, 0] + dx] = colour
    return Image.fromarray(canvas)


def sheet(pictures: Sequence[Path], columns: int) -> Image.Image:
    """Pictures of one size row by row, each half as large, four pixels of white between."""
    images = [Image.open(picture).convert("RGB") for picture in pictures]
    width, height = images[0].width // 2, images[0].height // 2
    rows = -(-len(images) // columns)
    image = Image.new("RGB", (columns * (width + 4) - 4, rows * (height + 4) - 4), "white")
    for i, one in enumerate(images):
        place = i % columns * (width + 4), i // columns * (height + 4)
        image.paste(one.resize((width, height)), place)
    return image


def film(frames: Sequence[Path], *, whole: bool, rows: int = 10) -> Image.Image:
    """At most `rows` of the sample pictures, evenly spaced in time: of grids the top strips, the
    earliest on top; `whole` ones (densities) side by side, a quarter as large."""
    picked = np.unique(np.linspace(0, len(frames) - 1, rows).round().astype(int))
    strips = [Image.open(frames[i]) for i in picked]
    if whole:
        side = strips[0].width // 4
        image = Image.new(strips[0].mode, (side * len(strips), side))
        for i, frame in enumerate(strips):
            image.paste(frame.resize((side, side)), (i * side, 0))
        return image
    height = strips[0].height // 8
    image = Image.new(strips[0].mode, (strips[0].width, height * len(strips)))
    for i, strip in enumerate(strips):
        image.paste(strip.crop((0, 0, strip.width, height)), (0, i * height))
    return image
