"""Pictures of samples: grids, densities, film strips. uint8 arrays in, Pillow images out; and for
notebooks figures with titles: pictures side by side, and what a critic makes of the plane."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

WIDTH = 560  # pixels that a grid is about, and a density exactly, wide
LEVELS = 25  # of a landscape's colours
REAL, FAKE = (170, 170, 170), (230, 90, 20)


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


def _row(count: int, columns: int, width: float, height: float) -> tuple[Any, list[Any]]:
    """A figure of `count` panels of so many inches, `columns` in a row, and their axes."""
    from matplotlib.figure import Figure  # slow to import

    rows = -(-count // columns)
    figure = Figure((width * columns, height * rows), dpi=75, layout="constrained")
    axes = [*figure.subplots(rows, columns, squeeze=False).flat]
    for axis in axes[count:]:
        axis.remove()
    return figure, axes[:count]


def side_by_side(images: Mapping[str, Image.Image], columns: int = 4, width: float = 3.0) -> Any:
    """A figure of pictures below their titles, `columns` in a row, each `width` inches wide."""
    tallest = max(image.height / image.width for image in images.values())
    count = min(columns, len(images))
    figure, axes = _row(len(images), count, width, width * tallest + 0.3)
    for axis, (title, image) in zip(axes, images.items(), strict=True):
        axis.imshow(image.convert("RGB"), interpolation="nearest")
        axis.set_title(title, fontsize=9)
        axis.set_axis_off()
    return figure


def landscapes(
    panels: Mapping[str, tuple[Callable[[np.ndarray], Any], np.ndarray]],
    real: np.ndarray,
    columns: int = 3,
) -> Any:
    """A figure of what critics make of the plane: a panel for each title, its critic and fakes.

    A critic is float32 [m, 2] -> logits [m]; they are drawn less their mean on the data `real`
    [n, 2], red above it and blue below, each panel to a scale of its own. Fakes [n, 2] are black
    dots, the data green ones. The plane is a square that holds the data with a margin of a half.
    """
    reach = 1.5 * np.abs(real).max()
    ticks = np.linspace(-reach, reach, 96, dtype=np.float32)
    plane = np.stack(np.meshgrid(ticks, ticks), -1)
    figure, axes = _row(len(panels), min(columns, len(panels)), 3.3, 2.8)
    for axis, (title, (critic, fake)) in zip(axes, panels.items(), strict=True):
        logits = np.asarray(critic(plane.reshape(-1, 2))).reshape(plane.shape[:2])
        logits = logits - np.asarray(critic(real)).mean()
        most = np.abs(logits).max() or 1.0
        levels = np.linspace(-most, most, LEVELS)
        hills = axis.contourf(ticks, ticks, logits, levels, cmap="RdBu_r")
        bar = figure.colorbar(hills, ax=axis, shrink=0.8, ticks=(-most, 0, most), format="%.2g")
        bar.ax.tick_params(labelsize=7)
        axis.plot(*real.T, ".", color="limegreen", markersize=4)
        axis.plot(*fake.T, ".", color="black", markersize=1.5)
        axis.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")
        axis.set_title(title, fontsize=9)
        axis.tick_params(labelsize=7)
    return figure
