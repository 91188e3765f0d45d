"""Plots checked pixel by pixel: rounding, grids, density plots, films and landscapes."""

import numpy as np
import pytest
from PIL import Image

from gan_jax.data.images import pixels as images_pixels
from gan_jax.reporting import plots

WHITE = (255, 255, 255)


def positions_of(image, color):
    """Sorted [row, column] positions of the pixels with this color."""
    return np.argwhere((np.asarray(image) == color).all(-1)).tolist()


def dot(column, row):
    """Four pixels of the dot with this lower left pixel."""
    return [[r, c] for r in (row - 1, row) for c in (column, column + 1)]


@pytest.mark.parametrize(
    ("x", "symmetric", "pixel"),
    [
        (0.0, False, 0),
        (1.0, False, 255),
        (0.49 / 255, False, 0),
        (0.51 / 255, False, 1),
        (254.51 / 255, False, 255),
        (-0.1, False, 0),
        (1.1, False, 255),
        (-1.0, True, 0),
        (0.01, True, 129),  # 128.8
        (1.0, True, 255),
        (-1.1, True, 0),
        (1.1, True, 255),
    ],
)
def test_to_pixels_rounds_and_clips(x, symmetric, pixel):
    pixels = images_pixels.to_pixels(np.full((2, 3, 4, 1), x, np.float32), symmetric=symmetric)
    np.testing.assert_array_equal(pixels, np.full((2, 3, 4, 1), pixel, np.uint8), strict=True)


@pytest.mark.parametrize("symmetric", [False, True])
def test_to_pixels_restores_every_level(symmetric):
    pixels = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)
    x = np.float32(pixels) / 255
    restored = images_pixels.to_pixels(2 * x - 1 if symmetric else x, symmetric=symmetric)
    np.testing.assert_array_equal(restored, pixels, strict=True)


@pytest.mark.parametrize("channels", [1, 3])
def test_grid_pixel_by_pixel(channels):
    """Three images of 2x1 pixels in two columns; the last row is incomplete."""
    gray = np.array(
        [
            [255, 255, 255, 255, 255],
            [255, 10, 255, 20, 255],
            [255, 11, 255, 21, 255],
            [255, 255, 255, 255, 255],
            [255, 30, 255, 255, 255],
            [255, 31, 255, 255, 255],
            [255, 255, 255, 255, 255],
        ],
        np.uint8,
    )
    pixels = np.uint8([10, 11, 20, 21, 30, 31]).reshape(3, 2, 1, 1)
    if channels == 3:  # the channels differ, so that swapped channels would fail
        pixels = np.concatenate([pixels, pixels + 1, pixels + 2], -1)
        gray = np.stack([np.where(gray == 255, 255, gray + i) for i in range(3)], -1)
    image = plots.grid(pixels, 2)
    assert image.mode == {1: "L", 3: "RGB"}[channels]
    actual = np.asarray(image)
    enlarged = gray.repeat(112, 0).repeat(112, 1)  # 5 columns: 560 pixels
    np.testing.assert_array_equal(actual, enlarged)


@pytest.mark.parametrize(
    ("width", "columns", "factor"),
    [(558, 1, 1), (9, 8, 7), (28, 8, 2), (1200, 1, 1), (300, 1, 2)],
)
def test_grids_are_enlarged_by_the_integer_factor_nearest_to_the_width(width, columns, factor):
    pixels = np.random.default_rng(0).integers(256, size=(columns, 2, width, 1), dtype=np.uint8)
    image = plots.grid(pixels, columns)
    assert image.size == ((columns * (width + 1) + 1) * factor, 4 * factor)
    actual = np.asarray(image)
    np.testing.assert_array_equal(
        actual, actual[::factor, ::factor].repeat(factor, 0).repeat(factor, 1)
    )


# For data that extend to 0.8 the plot covers [-1, 1]. A point x lies at column (x + 1) / 2 * 559,
# and y likewise above the bottom row.
EDGE = np.array([[0.8, 0.0], [0.0, -0.8]])


def test_dots_are_at_their_points_and_y_points_up():
    image = plots.density(np.array([[0.5, 0.25]]), EDGE)
    assert image.size == (560, 560)
    # Columns 503.1 and 279.5 (to even), rows 279.5 and 55.9 from the bottom.
    assert positions_of(image, plots.REAL) == dot(503, 559 - 280) + dot(280, 559 - 56)
    assert positions_of(image, plots.FAKE) == dot(419, 559 - 349)  # 419.25 and 349.4
    assert len(positions_of(image, WHITE)) == 560**2 - 12


def test_generated_points_are_drawn_over_the_data():
    image = plots.density(EDGE[:1], EDGE)
    assert positions_of(image, plots.FAKE) == dot(503, 279)
    assert positions_of(image, plots.REAL) == dot(280, 503)


def test_one_dimensional_points_lie_on_the_center_line():
    image = plots.density(np.array([[-0.5]]), np.array([[0.8], [-0.8]]))
    assert positions_of(image, plots.REAL) == sorted(dot(503, 279) + dot(56, 279))
    assert positions_of(image, plots.FAKE) == dot(140, 279)  # 139.75


def test_the_first_two_of_three_dimensions_are_drawn():
    def add_dimension(points, z):
        return np.concatenate([points, np.full((len(points), 1), z)], 1)

    fake = np.array([[0.5, 0.25]])
    image = plots.density(add_dimension(fake, -50.0), add_dimension(EDGE, 100.0))
    assert image.tobytes() == plots.density(fake, EDGE).tobytes()


@pytest.mark.parametrize(
    "point", [(1.5, 0.0), (-1.5, 0.0), (0.0, 1.5), (0.0, -1.5), (1.0, 0.0), (0.0, -1.0), (1e6, 0.0)]
)
def test_points_outside_the_plot_are_omitted(point):
    image = plots.density(np.array([point]), EDGE)
    assert not positions_of(image, plots.FAKE)
    assert len(positions_of(image, plots.REAL)) == 8


@pytest.mark.parametrize("x", [-0.996, 0.996])
def test_dots_at_the_border_are_complete(x):
    """The outermost columns for a dot of 2x2 pixels are 1 and 558 of 559."""
    column = round((x + 1) / 2 * 559)
    assert column in (1, 558)
    assert positions_of(plots.density(np.array([[x, x]]), EDGE), plots.FAKE) == dot(
        column, 559 - column
    )


def test_data_at_the_origin_are_one_dot_in_the_center():
    image = plots.density(np.zeros((3, 2)) + 1.0, np.zeros((5, 2), np.float32))
    assert positions_of(image, plots.REAL) == dot(280, 279)
    assert positions_of(image, plots.FAKE) == dot(503, 56)  # the plot covers [-1.25, 1.25]


def save_frames(folder, count, height, width):
    """Saves frames with a distinct color in the upper half and white in the lower half."""
    paths = []
    for i in range(count):
        frame = np.full((height, width, 3), 255, np.uint8)
        frame[: height // 2] = i
        paths.append(folder / f"step_{i:08d}.png")
        Image.fromarray(frame).save(paths[-1])
    return paths


@pytest.mark.parametrize(
    ("count", "rows", "selected"),
    [
        (25, 10, [0, 3, 5, 8, 11, 13, 16, 19, 21, 24]),
        (10, 10, list(range(10))),
        (3, 10, [0, 1, 2]),
        (1, 10, [0]),
        (5, 2, [0, 4]),
    ],
)
def test_film_of_upper_strips(tmp_path, count, rows, selected):
    frames = save_frames(tmp_path, count, height=32, width=6)
    actual = np.asarray(plots.film(frames, is_strip=True, rows=rows))
    # The upper 4 of 32 rows of each frame in full width, stacked vertically.
    expected = np.uint8(selected).repeat(4)[:, None, None]
    np.testing.assert_array_equal(actual, np.broadcast_to(expected, (4 * len(selected), 6, 3)))


@pytest.mark.parametrize(
    ("count", "selected"), [(25, [0, 3, 5, 8, 11, 13, 16, 19, 21, 24]), (1, [0])]
)
def test_film_of_whole_frames(tmp_path, count, selected):
    frames = save_frames(tmp_path, count, height=32, width=32)
    actual = np.asarray(plots.film(frames, is_strip=False))
    assert actual.shape == (8, 8 * len(selected), 3)  # a quarter as large, side by side
    # Excludes the edge between the halves, which resizing smooths.
    np.testing.assert_array_equal(actual[:2, ::8, 0], [selected] * 2)
    np.testing.assert_array_equal(actual[:2, 7::8, 0], [selected] * 2)
    assert (actual[6:] == 255).all()


@pytest.mark.parametrize("is_strip", [False, True])
def test_film_keeps_gray(tmp_path, is_strip):
    Image.fromarray(np.full((16, 16), 7, np.uint8)).save(tmp_path / "frame.png")
    image = plots.film([tmp_path / "frame.png"], is_strip=is_strip)
    assert image.mode == "L"
    assert (np.asarray(image) == 7).all()


def test_images_side_by_side_are_complete_below_their_titles():
    images = {str(i): Image.new("L", (30, 20), 80 * i) for i in range(3)}
    figure = plots.side_by_side(images, columns=2)
    assert [axis.get_title() for axis in figure.axes] == [*images]
    for axis, image in zip(figure.axes, images.values(), strict=True):
        shown = axis.images[0].get_array()
        np.testing.assert_array_equal(shown, np.asarray(image.convert("RGB")))
    rows = {round(axis.get_subplotspec().rowspan.start) for axis in figure.axes}
    assert rows == {0, 1}


def test_a_landscape_is_the_discriminator_minus_its_mean_on_the_data():
    """For f(x, y) = x + 7 and data at x = 1, level 0 is at x = 1, with red on its right."""
    real = np.array([[1.0, -2.0], [1.0, 2.0]], np.float32)
    fake = np.array([[0.5, 0.25]], np.float32)
    figure = plots.landscapes({"it": (lambda x: x[:, 0] + 7, fake)}, real)
    axis = figure.axes[0]
    assert axis.get_title() == "it"
    assert axis.get_xlim() == axis.get_ylim() == (-3, 3)
    (contours,) = axis.collections
    # The range of x - 1 in the plot.
    assert (contours.levels[0], contours.levels[-1]) == pytest.approx((-4, 4))
    zero = contours.get_paths()[len(contours.levels) // 2]  # between level 0 and the next
    left_edge = zero.vertices[:, 0].min()
    assert left_edge == pytest.approx(1, abs=1e-5)
    red, _, blue, _ = contours.cmap(1.0)
    assert red > blue
    for line, points in zip(axis.lines, (real, fake), strict=True):
        np.testing.assert_array_equal(line.get_xydata(), points)


def test_a_flat_landscape_can_be_drawn():
    real = np.ones((3, 2), np.float32)
    figure = plots.landscapes({"flat": (lambda x: np.zeros(len(x)), real)}, real)
    assert figure.axes[0].collections
