"""Pictures, pixel by pixel: rounding, the layout of grids, dots of densities, strips of films."""

import numpy as np
import pytest
from PIL import Image

from gan_jax.data.images import pixels as images_pixels
from gan_jax.reporting import plots

WHITE = (255, 255, 255)


def pixels_of(image, colour):
    """Where the picture has the colour: [row, column] in order."""
    return np.argwhere((np.asarray(image) == colour).all(-1)).tolist()


def dot(column, row):
    """The four pixels of a dot whose lower left one this is."""
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
def test_to_pixels(x, symmetric, pixel):
    made = images_pixels.to_pixels(np.full((2, 3, 4, 1), x, np.float32), symmetric=symmetric)
    np.testing.assert_array_equal(made, np.full((2, 3, 4, 1), pixel, np.uint8), strict=True)


@pytest.mark.parametrize("symmetric", [False, True])
def test_to_pixels_gives_every_pixel_back(symmetric):
    pixels = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)
    x = np.float32(pixels) / 255
    made = images_pixels.to_pixels(2 * x - 1 if symmetric else x, symmetric=symmetric)
    np.testing.assert_array_equal(made, pixels, strict=True)


@pytest.mark.parametrize("channels", [1, 3])
def test_grid_pixel_by_pixel(channels):
    """Three pictures of 2x1 pixels in two columns; the last row is short."""
    grey = np.array(
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
    if channels == 3:  # the channels differ, so that none stands in for another
        pixels = np.concatenate([pixels, pixels + 1, pixels + 2], -1)
        grey = np.stack([np.where(grey == 255, 255, grey + i) for i in range(3)], -1)
    image = plots.grid(pixels, 2)
    assert image.mode == {1: "L", 3: "RGB"}[channels]
    made = np.asarray(image)
    enlarged = grey.repeat(112, 0).repeat(112, 1)  # 5 columns: 560 pixels
    np.testing.assert_array_equal(made, enlarged)


@pytest.mark.parametrize(
    ("width", "columns", "factor"),
    [(558, 1, 1), (9, 8, 7), (28, 8, 2), (1200, 1, 1), (300, 1, 2)],
)
def test_grids_are_enlarged_by_the_whole_factor_nearest_to_the_width(width, columns, factor):
    pixels = np.random.default_rng(0).integers(256, size=(columns, 2, width, 1), dtype=np.uint8)
    image = plots.grid(pixels, columns)
    assert image.size == ((columns * (width + 1) + 1) * factor, 4 * factor)
    made = np.asarray(image)
    np.testing.assert_array_equal(
        made, made[::factor, ::factor].repeat(factor, 0).repeat(factor, 1)
    )


# Of data that reaches 0.8 the square is [-1, 1]; x is at column, y above the bottom row, at
# (x + 1) / 2 * 559.
EDGE = np.array([[0.8, 0.0], [0.0, -0.8]])


def test_dots_are_where_the_points_are_and_y_goes_up():
    image = plots.density(np.array([[0.5, 0.25]]), EDGE)
    assert image.size == (560, 560)
    # Columns 503.1 and 279.5 (to even), rows 279.5 and 55.9 from the bottom.
    assert pixels_of(image, plots.REAL) == dot(503, 559 - 280) + dot(280, 559 - 56)
    assert pixels_of(image, plots.FAKE) == dot(419, 559 - 349)  # 419.25, 349.4
    assert len(pixels_of(image, WHITE)) == 560**2 - 12


def test_the_generator_lies_over_the_data():
    image = plots.density(EDGE[:1], EDGE)
    assert pixels_of(image, plots.FAKE) == dot(503, 279)
    assert pixels_of(image, plots.REAL) == dot(280, 503)


def test_points_of_one_dimension_lie_on_the_middle_line():
    image = plots.density(np.array([[-0.5]]), np.array([[0.8], [-0.8]]))
    assert pixels_of(image, plots.REAL) == sorted(dot(503, 279) + dot(56, 279))
    assert pixels_of(image, plots.FAKE) == dot(140, 279)  # 139.75


def test_of_points_of_three_dimensions_two_are_drawn():
    def deep(points, z):
        return np.concatenate([points, np.full((len(points), 1), z)], 1)

    fake = np.array([[0.5, 0.25]])
    image = plots.density(deep(fake, -50.0), deep(EDGE, 100.0))
    assert image.tobytes() == plots.density(fake, EDGE).tobytes()


@pytest.mark.parametrize(
    "point", [(1.5, 0.0), (-1.5, 0.0), (0.0, 1.5), (0.0, -1.5), (1.0, 0.0), (0.0, -1.0), (1e6, 0.0)]
)
def test_points_outside_are_left_out(point):
    image = plots.density(np.array([point]), EDGE)
    assert not pixels_of(image, plots.FAKE)
    assert len(pixels_of(image, plots.REAL)) == 8


@pytest.mark.parametrize("x", [-0.996, 0.996])
def test_dots_at_the_border_are_whole(x):
    """The outermost place that is drawn is 1 or 558 of 559: a dot of 2x2 goes no further."""
    column = round((x + 1) / 2 * 559)
    assert column in (1, 558)
    assert pixels_of(plots.density(np.array([[x, x]]), EDGE), plots.FAKE) == dot(
        column, 559 - column
    )


def test_data_all_at_zero_is_one_dot_in_the_middle():
    image = plots.density(np.zeros((3, 2)) + 1.0, np.zeros((5, 2), np.float32))
    assert pixels_of(image, plots.REAL) == dot(280, 279)
    assert pixels_of(image, plots.FAKE) == dot(503, 56)  # the square is [-1.25, 1.25]


def save_frames(folder, count, height, width):
    """Frames of a colour each in their upper half, white below."""
    paths = []
    for i in range(count):
        frame = np.full((height, width, 3), 255, np.uint8)
        frame[: height // 2] = i
        paths.append(folder / f"step_{i:08d}.png")
        Image.fromarray(frame).save(paths[-1])
    return paths


@pytest.mark.parametrize(
    ("count", "rows", "picked"),
    [
        (25, 10, [0, 3, 5, 8, 11, 13, 16, 19, 21, 24]),
        (10, 10, list(range(10))),
        (3, 10, [0, 1, 2]),
        (1, 10, [0]),
        (5, 2, [0, 4]),
    ],
)
def test_film_of_top_strips(tmp_path, count, rows, picked):
    frames = save_frames(tmp_path, count, height=32, width=6)
    made = np.asarray(plots.film(frames, is_strip=True, rows=rows))
    # The upper 4 of 32 rows of each, whole in width, one below the other.
    expected = np.uint8(picked).repeat(4)[:, None, None]
    np.testing.assert_array_equal(made, np.broadcast_to(expected, (4 * len(picked), 6, 3)))


@pytest.mark.parametrize(
    ("count", "picked"), [(25, [0, 3, 5, 8, 11, 13, 16, 19, 21, 24]), (1, [0])]
)
def test_film_of_whole_frames(tmp_path, count, picked):
    frames = save_frames(tmp_path, count, height=32, width=32)
    made = np.asarray(plots.film(frames, is_strip=False))
    assert made.shape == (8, 8 * len(picked), 3)  # a quarter as large, side by side
    # Away from the line between the halves, which resizing smooths.
    np.testing.assert_array_equal(made[:2, ::8, 0], [picked] * 2)
    np.testing.assert_array_equal(made[:2, 7::8, 0], [picked] * 2)
    assert (made[6:] == 255).all()


@pytest.mark.parametrize("is_strip", [False, True])
def test_film_keeps_gray(tmp_path, is_strip):
    Image.fromarray(np.full((16, 16), 7, np.uint8)).save(tmp_path / "frame.png")
    image = plots.film([tmp_path / "frame.png"], is_strip=is_strip)
    assert image.mode == "L"
    assert (np.asarray(image) == 7).all()


def test_pictures_side_by_side_are_shown_whole_below_their_titles():
    images = {str(i): Image.new("L", (30, 20), 80 * i) for i in range(3)}
    figure = plots.side_by_side(images, columns=2)
    assert [axis.get_title() for axis in figure.axes] == [*images]
    for axis, image in zip(figure.axes, images.values(), strict=True):
        shown = axis.images[0].get_array()
        np.testing.assert_array_equal(shown, np.asarray(image.convert("RGB")))
    rows = {round(axis.get_subplotspec().rowspan.start) for axis in figure.axes}
    assert rows == {0, 1}


def test_a_landscape_is_the_critic_less_its_mean_on_the_data():
    """Of f(x, y) = x + 7 with data at x = 1 the level 0 is crossed at x = 1, red lies right of
    it."""
    real = np.array([[1.0, -2.0], [1.0, 2.0]], np.float32)
    fake = np.array([[0.5, 0.25]], np.float32)
    figure = plots.landscapes({"it": (lambda x: x[:, 0] + 7, fake)}, real)
    axis = figure.axes[0]
    assert axis.get_title() == "it"
    assert axis.get_xlim() == axis.get_ylim() == (-3, 3)
    (hills,) = axis.collections
    assert (hills.levels[0], hills.levels[-1]) == pytest.approx((-4, 4))  # of x - 1 on the square
    zero = hills.get_paths()[len(hills.levels) // 2]  # from level 0 to the next
    left = zero.vertices[:, 0].min()
    assert left == pytest.approx(1, abs=1e-5)
    red, _, blue, _ = hills.cmap(1.0)
    assert red > blue
    for line, points in zip(axis.lines, (real, fake), strict=True):
        np.testing.assert_array_equal(line.get_xydata(), points)


def test_a_flat_landscape_can_be_drawn():
    real = np.ones((3, 2), np.float32)
    figure = plots.landscapes({"flat": (lambda x: np.zeros(len(x)), real)}, real)
    assert figure.axes[0].collections
