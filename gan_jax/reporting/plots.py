"""Images of samples: grids, densities, film strips; and figures for notebooks.

Inputs are uint8 arrays, outputs Pillow images or matplotlib figures.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Shaped, UInt8
from PIL import Image

WIDTH = 560  # width of a density, and approximate width of a grid, in pixels
LEVELS = 25  # number of color levels of a landscape
REAL, FAKE = (170, 170, 170), (230, 90, 20)


def grid(pixels: UInt8[np.ndarray, "n h w c"], columns: int) -> Image.Image:
    """Arrange images in a grid, row by row, with one white pixel between them.

    Small images are enlarged by an integer factor, without smoothing. The last row may be short.

    Args:
        pixels: Images, uint8 [n, h, w, c] with 1 or 3 channels.
        columns: Number of images in a row.

    Returns:
        The grid, about 560 pixels wide.

    Example:
        >>> grid(np.zeros((4, 8, 8, 1), np.uint8), columns=2).size
        (551, 551)
    """
    n, height, width, channels = pixels.shape
    rows = -(-n // columns)
    canvas = np.full((rows * (height + 1) + 1, columns * (width + 1) + 1, channels), 255, np.uint8)
    for i, image in enumerate(pixels):
        top, left = i // columns * (height + 1) + 1, i % columns * (width + 1) + 1
        canvas[top : top + height, left : left + width] = image
    small = Image.fromarray(canvas.squeeze(-1) if channels == 1 else canvas)
    factor = max(1, round(WIDTH / small.width))
    return small.resize((small.width * factor, small.height * factor), Image.Resampling.NEAREST)


def density(fake: Shaped[np.ndarray, "m d"], real: Shaped[np.ndarray, "n d"]) -> Image.Image:
    """Plot points of the generator in orange over points of the data in gray.

    The image is a square that contains the data with a margin of a quarter; x runs to the right, y
    (if d > 1) upward.

    Args:
        fake: Points of the generator, [m, d].
        real: Points of the data, [n, d].

    Returns:
        The plot, 560 x 560 pixels.

    Example:
        >>> density(np.zeros((3, 2)), np.ones((5, 2))).size
        (560, 560)
    """
    extent = 1.25 * (np.abs(real[:, :2]).max() or 1.0)
    canvas = np.full((WIDTH, WIDTH, 3), 255, np.uint8)
    for points, color in ((real, REAL), (fake, FAKE)):
        points = np.pad(points, ((0, 0), (0, 1)))[:, :2]
        points = points[(np.abs(points) <= extent).all(1)]
        pixels = np.rint((points / extent + 1) / 2 * (WIDTH - 1)).astype(int)
        pixels = pixels[((pixels >= 1) & (pixels < WIDTH - 1)).all(1)]
        for dx, dy in ((0, 0), (1, 0), (0, 1), (1, 1)):  # dots of 2x2 pixels
            canvas[WIDTH - 1 - pixels[:, 1] - dy, pixels[:, 0] + dx] = color
    return Image.fromarray(canvas)


def sheet(paths: Sequence[Path], columns: int) -> Image.Image:
    """Arrange image files of one size in a grid, at half size, four white pixels between them.

    Args:
        paths: Image files.
        columns: Number of images in a row.

    Returns:
        The sheet.
    """
    images = [Image.open(path).convert("RGB") for path in paths]
    width, height = images[0].width // 2, images[0].height // 2
    rows = -(-len(images) // columns)
    canvas = Image.new("RGB", (columns * (width + 4) - 4, rows * (height + 4) - 4), "white")
    for i, image in enumerate(images):
        corner = i % columns * (width + 4), i // columns * (height + 4)
        canvas.paste(image.resize((width, height)), corner)
    return canvas


def film(frames: Sequence[Path], *, is_strip: bool, rows: int = 10) -> Image.Image:
    """Join sample images, evenly spaced in time, into a film strip.

    Args:
        frames: Image files of one size, in order.
        is_strip: Show the top eighth of each image, the earliest on top, as fits grids. Otherwise
            show whole images side by side at a quarter of their size, as fits densities.
        rows: Largest number of images.

    Returns:
        The film strip.
    """
    picked = np.unique(np.linspace(0, len(frames) - 1, rows).round().astype(int))
    images = [Image.open(frames[i]) for i in picked]
    first = images[0]
    if not is_strip:
        side = first.width // 4
        canvas = Image.new(first.mode, (side * len(images), side))
        for i, image in enumerate(images):
            canvas.paste(image.resize((side, side)), (i * side, 0))
        return canvas
    height = first.height // 8
    canvas = Image.new(first.mode, (first.width, height * len(images)))
    for i, image in enumerate(images):
        canvas.paste(image.crop((0, 0, image.width, height)), (0, i * height))
    return canvas


def _subplots(count: int, columns: int, width: float, height: float) -> tuple[Any, list[Any]]:
    """Return a figure of `count` panels of width x height inches, and their axes."""
    from matplotlib.figure import Figure  # slow to import

    rows = -(-count // columns)
    figure = Figure((width * columns, height * rows), dpi=75, layout="constrained")
    axes = [*figure.subplots(rows, columns, squeeze=False).flat]
    for axis in axes[count:]:
        axis.remove()
    return figure, axes[:count]


def side_by_side(images: Mapping[str, Image.Image], columns: int = 4, width: float = 3.0) -> Any:
    """Show images with titles.

    Args:
        images: Images by title.
        columns: Largest number of images in a row.
        width: Width of an image, in inches.

    Returns:
        The matplotlib figure.
    """
    aspect = max(image.height / image.width for image in images.values())
    columns = min(columns, len(images))
    figure, axes = _subplots(len(images), columns, width, width * aspect + 0.3)
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
    """Plot the logits of discriminators over the plane.

    Logits are plotted less their mean on the data: red above it, blue below, on a scale of its own
    in each panel. Samples are black dots, data green. The plot is a square that contains the data
    with a margin of a half.

    Args:
        panels: Discriminator, float32 [m, 2] -> logits [m], and samples [n, 2], by title.
        real: Points of the data, [n, 2].
        columns: Largest number of panels in a row.

    Returns:
        The matplotlib figure.
    """
    extent = 1.5 * np.abs(real).max()
    ticks = np.linspace(-extent, extent, 96, dtype=np.float32)
    plane = np.stack(np.meshgrid(ticks, ticks), -1)
    figure, axes = _subplots(len(panels), min(columns, len(panels)), 3.3, 2.8)
    for axis, (title, (discriminator, fake)) in zip(axes, panels.items(), strict=True):
        logits = np.asarray(discriminator(plane.reshape(-1, 2))).reshape(plane.shape[:2])
        logits = logits - np.asarray(discriminator(real)).mean()
        largest = np.abs(logits).max() or 1.0
        levels = np.linspace(-largest, largest, LEVELS)
        contours = axis.contourf(ticks, ticks, logits, levels, cmap="RdBu_r")
        marks = (-largest, 0, largest)
        bar = figure.colorbar(contours, ax=axis, shrink=0.8, ticks=marks, format="%.2g")
        bar.ax.tick_params(labelsize=7)
        axis.plot(*real.T, ".", color="limegreen", markersize=4)
        axis.plot(*fake.T, ".", color="black", markersize=1.5)
        axis.set(xlim=(-extent, extent), ylim=(-extent, extent), aspect="equal")
        axis.set_title(title, fontsize=9)
        axis.tick_params(labelsize=7)
    return figure
