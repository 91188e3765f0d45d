"""Augmentation: each transformation against a plain computation, the laws of the draws, gradients
through it, and the adaptive rule."""

import dataclasses
import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tyro
from scipy.spatial.transform import Rotation

from gan_jax.config import Augment
from gan_jax.config.schedules import Schedule, resolve
from gan_jax.core import keys
from gan_jax.core.errors import UserError
from gan_jax.training.augment import adaptive as augment_adaptive
from gan_jax.training.augment import blit, color, cutout, geometry

ALL = Augment(blit=1, geometry=1, color=1, cutout=1, p=1.0)
DIFFAUGMENT = Augment(diffaugment=("color", "translation", "cutout"))
N = 2000  # draws
KEYS = keys.example_keys(jax.random.key(0), N)

apply = jax.jit(augment_adaptive.augment, static_argnums=(0, 4))
resample = jax.jit(geometry.resample)


def pictures(n=4, side=8, channels=3, low=-1.0):
    drawn = np.random.default_rng(0).uniform(low, 1, (n, side, side, channels))
    return jnp.asarray(drawn, jnp.float32)


def smooth(row, column):
    """A picture [h, w, 2] of waves of some 25 pixels, of slope 1/4 a pixel, about its centre."""
    return np.stack([np.sin(row / 4 + 1), np.cos(column / 5 - row / 8)], -1)


def grid(side):
    return np.meshgrid(*[np.arange(side) - (side - 1) / 2] * 2, indexing="ij")


@functools.cache
def drawing(draw, *shape):
    return jax.jit(jax.vmap(lambda key, p: draw(key, p, *shape), (0, None)))


def draws(draw, p, *shape):
    """The parameters of N examples."""
    return jax.tree.map(np.asarray, drawing(draw, *shape)(KEYS, p))


def assert_law(found, cdf):
    # Kolmogorov-Smirnov: sqrt(n) times the largest gap passes 1.95 in one draw of a thousand.
    gap = np.abs(cdf(np.sort(found)) - (np.arange(len(found)) + 0.5) / len(found)).max()
    assert gap * math.sqrt(len(found)) < 1.95


def assert_share(found, share):
    # Five standard deviations of the mean of N coins.
    assert abs(np.mean(found) - share) <= 5 * math.sqrt(share * (1 - share) / N)


def normal(std):
    return np.vectorize(lambda x: 0.5 + 0.5 * math.erf(x / std / math.sqrt(2)))


def uniform(end):
    return lambda x: (x + end) / (2 * end)


@pytest.mark.parametrize("symmetric", [True, False])
def test_identity_at_zero(symmetric):
    x = pictures(low=-1.0 if symmetric else 0.0)
    found = apply(ALL, x, KEYS[:4], 0.0, symmetric)
    # Float32, through filters that undo each other.
    np.testing.assert_allclose(found, x, rtol=0, atol=1e-6)
    assert found.dtype == jnp.float32


@pytest.mark.parametrize(
    "config",
    [Augment(), Augment(p=0.5), Augment(blit=1, color=1), Augment(adaptive=True)],
    ids=["default", "no-group", "no-p", "adaptive-no-group"],
)
def test_off(config):
    assert config.is_off
    own = KEYS[:4]
    program = jax.make_jaxpr(lambda x: augment_adaptive.augment(config, x, own, 1.0, True))(
        pictures()
    )
    assert not program.eqns


@pytest.mark.parametrize(
    "config",
    [
        Augment(blit=1, p=0.1),
        Augment(cutout=0.1, p=Schedule(0, 0.55, 10, "cosine")),
        Augment(geometry=1, adaptive=True),
        DIFFAUGMENT,
    ],
    ids=["fixed", "schedule", "adaptive", "diffaugment"],
)
def test_on(config):
    assert not config.is_off


def test_turn():
    x = pictures(1)[0]
    turn = jax.jit(blit.flip_and_rotate)
    for mirror in (False, True):
        for turns in range(4):
            found = turn(x, blit.Blit(jnp.asarray(mirror), jnp.asarray(turns), jnp.zeros(2)))
            expected = np.rot90(np.fliplr(x) if mirror else x, turns)
            np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("outside", ["reflect", "constant"])
def test_shift(outside):
    x = np.asarray(pictures(1, 16)[0])
    shift = jax.jit(lambda x, by: blit.shift(x, by, outside))
    for down, right in ((0, 0), (2, -1), (-2, 2)):
        padded = np.pad(x, [(2, 2), (2, 2), (0, 0)], mode=outside)
        expected = padded[2 - down : 18 - down, 2 - right : 18 - right]
        np.testing.assert_array_equal(shift(x, jnp.asarray([down, right])), expected)


def test_blit_law():
    found = draws(blit.sample_blit, 1.0, (16, 16, 3))
    assert_share(found.flip, 0.5)
    for turns in range(4):
        assert_share(found.quarter_turns == turns, 0.25)
    for axis in (0, 1):  # U(-2, 2) rounded
        for pixels, share in ((-2, 1 / 8), (-1, 1 / 4), (0, 1 / 4), (1, 1 / 4), (2, 1 / 8)):
            assert_share(found.shift[:, axis] == pixels, share)
    found = draws(blit.sample_blit, 0.4, (16, 16, 3))
    assert_share(found.flip, 0.2)
    assert_share(found.quarter_turns == 0, 0.7)
    found = draws(blit.sample_blit, 0.4, (16, 8, 3))
    assert_share(found.quarter_turns == 2, 0.2)  # not square: no quarters
    assert set(found.quarter_turns) == {0, 2}
    assert (np.abs(found.shift) <= [2, 1]).all()


def test_resampling_of_whole_pixels():
    x = pictures(1, 16)[0]
    found = resample(x, geometry.translation(-2.0, 1.0))
    expected = blit.shift(x, jnp.asarray([2, -1]), "reflect")
    # Float32, through filters that undo each other.
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_resampling_of_quarters(turns):
    x = jnp.asarray(smooth(*grid(32)), jnp.float32)
    found = resample(x, geometry.rotation(-turns * math.pi / 2))
    # The filter's own delay of 5.1 samples for 5 is 0.1 pixels in a half turn, at a slope of 1/4.
    np.testing.assert_allclose(found[4:-4, 4:-4], np.rot90(x, turns)[4:-4, 4:-4], atol=0.035)


@pytest.mark.parametrize(
    "inverse",
    [
        geometry.scaling(0.7, 0.7),
        geometry.scaling(0.8, 1 / 0.8),
        geometry.rotation(0.3),
        geometry.translation(1.3, -2.6),
    ],
    ids=["scaling", "stretching", "rotation", "translation"],
)
def test_resampling_of_waves(inverse):
    row, column = grid(32)
    matrix = np.asarray(inverse)
    there = np.einsum("ij,jhw->ihw", matrix, np.stack([row, column, np.ones_like(row)]))
    found = resample(jnp.asarray(smooth(row, column), jnp.float32), inverse)
    # As above; and linear interpolation at twice the rate, which flattens waves by less than 1%.
    inside = np.abs(there).max(0, keepdims=True)[0][..., None] < 12
    expected = smooth(there[0], there[1])
    np.testing.assert_allclose(found * inside, expected * inside, atol=0.035)


def test_reflection():
    # Shrunk to a quarter, and so past the first reflection, a constant stays what it is.
    found = resample(jnp.full((8, 8, 1), 0.7), geometry.scaling(4.0, 4.0))
    np.testing.assert_allclose(found, 0.7, atol=1e-6)  # float32
    line = jnp.broadcast_to(jnp.linspace(-1.0, 1.0, 9)[:, None, None], (9, 9, 1))
    found = resample(line, geometry.translation(8.0, 0.0))[:, :, 0]  # twice: itself upside down
    np.testing.assert_allclose(found, -line[:, :, 0], atol=1e-6)  # float32


def test_geometry_law():
    assert (draws(geometry.sample_inverse, 0.0, (32, 16, 3)) == np.eye(3)).all()
    found = draws(geometry.sample_inverse, 1.0, (32, 16, 3)).astype(np.float64)
    area = np.log2(np.linalg.det(found))  # the square of 1 / scale
    assert_law(area, normal(0.4))
    stretch = np.linalg.svd(found[:, :2, :2])[1]  # 1/scale times 2^|N(0, 0.2^2)| and its inverse
    stretch = np.log2(stretch[:, 0] / stretch[:, 1]) / 2
    assert_law(stretch, lambda x: 2 * normal(0.2)(x) - 1)
    new_centre = -np.linalg.solve(found[:, :2, :2], found[:, :2, 2:])[..., 0]  # where the old is
    for axis, side in ((0, 32), (1, 16)):
        assert_law(new_centre[:, axis], normal(side / 8))
    # Turned before or after with p = 1/2; else, stretched or not, along the picture's sides.
    assert_share(draws(geometry.sample_inverse, 0.5, (32, 16, 3))[:, 0, 1] != 0, 0.5)


def test_rotation_law():
    found = draws(geometry.sample_inverse, 1.0, (32, 16, 3))[:, :2, :2]
    # A matrix's rotation: of its polar decomposition, the sum of two uniform angles.
    angle = np.arctan2(found[:, 1, 0] - found[:, 0, 1], found[:, 0, 0] + found[:, 1, 1])
    assert_law(angle, uniform(math.pi))


def change(**fields):
    none = {"brightness": 0.0, "contrast": 1.0, "luma": 1.0, "hue": 0.0, "saturation": 1.0}
    return color.Color(**jax.tree.map(jnp.float32, none | fields))


AXIS = np.full((3, 1), 1 / math.sqrt(3))
LUMA, FLIP = AXIS @ AXIS.T, np.eye(3) - 2 * AXIS @ AXIS.T


@pytest.mark.parametrize(
    ("fields", "matrix", "offset"),
    [
        ({"brightness": 0.3}, np.eye(3), 0.3),
        ({"contrast": 1.7}, 1.7 * np.eye(3), 0.0),
        ({"luma": -1.0}, FLIP, 0.0),
        ({"hue": 0.8}, Rotation.from_rotvec(0.8 * AXIS[:, 0]).as_matrix(), 0.0),
        ({"saturation": 0.4}, LUMA + 0.4 * (np.eye(3) - LUMA), 0.0),
        ({"brightness": 0.3, "contrast": 2.0, "luma": -1.0}, 2 * FLIP, -0.6),
    ],
    ids=["brightness", "contrast", "luma", "hue", "saturation", "three"],
)
def test_colour(fields, matrix, offset):
    x = np.asarray(pictures(1)[0])
    found = jax.jit(color.adjust_color)(x, change(**fields))
    np.testing.assert_allclose(found, x @ matrix.T + offset, atol=1e-6)  # float32, of order one


def test_colour_of_grey():
    # As of the RGB picture with three such channels; hue and saturation change neither.
    x, adjust = pictures(1, channels=1)[0], jax.jit(color.adjust_color)
    moved = change(brightness=0.2, contrast=1.5, luma=-1.0, hue=2.0, saturation=3.0)
    rgb = adjust(jnp.repeat(x, 3, 2), moved)
    np.testing.assert_allclose(rgb, jnp.repeat(adjust(x, moved), 3, 2), atol=1e-6)  # float32


def test_colour_law():
    found = draws(color.sample_color, 1.0)
    assert_law(found.brightness, normal(0.2))
    assert_law(np.log2(found.contrast), normal(0.5))
    assert_share(found.luma == -1, 0.5)
    assert_law(found.hue, uniform(math.pi))
    assert_law(np.log2(found.saturation), normal(1.0))
    found = draws(color.sample_color, 0.3)
    for name, neutral in (("brightness", 0), ("contrast", 1), ("hue", 0), ("saturation", 1)):
        assert_share(getattr(found, name) != neutral, 0.3)
    assert_share(found.luma == -1, 0.15)


def test_cutout():
    cut = jax.jit(cutout.apply_cutout)
    x = np.ones((16, 8, 2), np.float32)
    x[6:14, 0:3] = 0  # rows 6 to 13 around 10/16, columns up to 2 around 1/8
    found = cut(jnp.ones_like(x), jnp.asarray([10 / 16, 1 / 8, 0.5]))
    np.testing.assert_array_equal(found, x)
    found = draws(cutout.sample_cutout, 0.3)
    assert_share(found[:, 2] == 0.5, 0.3)
    assert_share(found[:, 2] == 0.0, 0.7)
    assert_law(found[:, 0], lambda x: x)
    assert_law(found[:, 1], lambda x: x)


def test_strength():
    # Cut with probability p x strength, to mid-grey, which is 0.5 for pixels in [0, 1]. A centre in
    # the middle half of both sides cuts a quarter of the pixels.
    config = Augment(cutout=0.6, p=1.0)
    found = np.asarray(apply(config, jnp.zeros((N, 8, 8, 1)), KEYS, 0.5, False))
    assert set(found.ravel()) == {0.0, 0.5}
    area = (found == 0.5).mean((1, 2, 3))
    assert_share(area > 0, 0.3)
    assert area.max() == 0.25
    assert_share(area == 0.25, 0.3 * (5 / 8) ** 2)  # 5 of 8 steps hold 4 whole pixels of a side


@pytest.mark.parametrize("config", [ALL, DIFFAUGMENT], ids=["ada", "diffaugment"])
def test_layout(config):
    # An example's change is its own key's; in [0, 1] it is what it is in [-1, 1].
    x = pictures()
    whole = apply(config, x, KEYS[:4], 0.8, True)
    assert float(jnp.abs(whole - x).min(0).max()) > 0.1  # of order one, so not by rounding alone
    mixed = jnp.asarray([2, 0, 3, 1])
    # Float32, values of order ten; one more addition and product for [0, 1].
    np.testing.assert_allclose(
        apply(config, x[mixed], KEYS[:4][mixed], 0.8, True), whole[mixed], atol=1e-5
    )
    unit = apply(config, (x + 1) / 2, KEYS[:4], 0.8, False)
    np.testing.assert_allclose(2 * unit - 1, whole, atol=1e-5)


@pytest.mark.parametrize(
    ("config", "channels"),
    [(ALL, 3), (DIFFAUGMENT, 3), (dataclasses.replace(ALL, geometry=0), 1)],
    ids=["ada", "diffaugment", "grey"],
)
def test_penalty(config, channels):
    # The augmentation is affine, x -> Ax + b, so for the critic f(x) = w(Ax + b) the gradient of
    # |grad_x f|^2 by w is 2 AA'w.
    x = pictures(channels=channels)

    @jax.jit
    @functools.partial(jax.grad, has_aux=True)
    def by_critic(w):
        def critic(x):
            return (w * augment_adaptive.augment(config, x, KEYS[:4], 1.0, True)).sum()

        slope = jax.grad(critic)(x)
        return jnp.square(slope).sum(), slope

    found, slope = by_critic(x[::-1] ** 2)
    there, origin = (apply(config, y, KEYS[:4], 1.0, True) for y in (slope, jnp.zeros_like(x)))
    assert float(jnp.abs(found).max()) > 0.1
    # Float32, of order ten; NaN is in neither.
    np.testing.assert_allclose(found, 2 * (there - origin), rtol=1e-4, atol=1e-4, equal_nan=False)


def test_diffaugment_colour():
    # Two colours, a pixel each: brightness moves their mean, contrast and saturation the rest.
    config = Augment(diffaugment=("color",))
    x = jnp.broadcast_to(jnp.asarray([[[1.0, 0.5, 0.0], [0.0, -0.5, -1.0]]] * 2), (N, 2, 2, 3))
    found = np.asarray(apply(config, x, KEYS, 0.0, True), np.float64)
    assert_law(found.mean((1, 2, 3)), uniform(0.5))
    grey = found.mean(3)[:, 0]
    contrast = grey[:, 0] - grey[:, 1]
    assert_law(contrast - 1, uniform(0.5))
    spread = found[:, 0, 0, 0] - found[:, 0, 0, 2]
    assert_law(spread / contrast - 1, uniform(1.0))


def test_diffaugment_translation():
    # Of a picture in which every pixel is another, each way by at most 2 of 16, filled with zero.
    config = Augment(diffaugment=("translation",))
    x = 1 + np.arange(256.0, dtype=np.float32).reshape(16, 16, 1)
    found = np.asarray(apply(config, jnp.broadcast_to(x, (N, 16, 16, 1)), KEYS, 0.0, True))
    middle = found[:, 8, 8, 0] - 1
    down, right = 8 - middle // 16, 8 - middle % 16
    for moves in (down, right):
        assert set(moves) == {-2, -1, 0, 1, 2}
        for move in range(-2, 3):
            assert_share(moves == move, 0.2)
    assert ((found == 0).sum((1, 2, 3)) == 256 - (16 - abs(down)) * (16 - abs(right))).all()


def test_diffaugment_cutout():
    # A square of 4, its centre on any of the 9 lines between 8 pixels or around them.
    config = Augment(diffaugment=("cutout",))
    found = np.asarray(apply(config, jnp.ones((N, 8, 8, 1)), KEYS, 0.0, True))[..., 0]
    rows, columns = ((found == 0).any(axis).sum(1) for axis in (2, 1))
    assert ((found == 0).sum((1, 2)) == rows * columns).all()
    for lengths in (rows, columns):
        assert_share(lengths == 4, 5 / 9)
        assert_share(lengths == 3, 2 / 9)
        assert_share(lengths == 2, 2 / 9)


def rule(config, signs, images):
    """p after each critic update with these signs."""

    def one(state, sign):
        state = augment_adaptive.adapt(config, state, sign, images)
        return state, state.p

    return jax.jit(lambda signs: jax.lax.scan(one, augment_adaptive.init(config), signs))(
        jnp.asarray(signs, jnp.float32)
    )


def test_adaptive_speed():
    # 1000 images an update, always overfit: p moves by 4000 / 500000 every fourth and is 1 after
    # exactly 500000 images; then back, and no further than 0.
    config = Augment(blit=1, adaptive=True)
    state, p = rule(config, [1.0] * 504 + [-1.0] * 520, 1000)
    p = np.asarray(p, np.float64)
    expected = np.clip(np.arange(1, 505) // 4 * 0.008, 0, 1)
    np.testing.assert_allclose(p[:504], expected, atol=1e-5)  # a sum of 125 float32
    assert p[498] < 1 - 0.004
    assert p[503] == 1
    np.testing.assert_allclose(
        p[504:], np.clip(1 - np.arange(1, 521) // 4 * 0.008, 0, 1), atol=1e-5
    )
    assert p[-1] == 0
    assert state.signs == state.count == 0


def test_adaptive_mean():
    # Up where the mean of four is above 0.6, down where below, whichever the last one is.
    config = Augment(blit=1, adaptive=True, p=0.5)
    ups, downs = [1.0, 1.0, 1.0, 0.0], [0.5, 0.0, 0.9, 0.9]
    _, p = rule(config, ups + downs + downs, 50_000)
    np.testing.assert_allclose(p, [0.5] * 3 + [0.9] * 4 + [0.5] * 4 + [0.1], atol=1e-6)  # float32


def test_adaptive_skips():
    # An update whose logits are not finite is not counted.
    config = Augment(blit=1, adaptive=True, adapt_every=2)
    with jax.debug_nans(False):
        _, p = rule(config, [1.0, math.nan, math.nan, 1.0, 1.0], 50_000)
        np.testing.assert_allclose(p, [0, 0, 0, 0.2, 0.2], atol=1e-7)  # float32


def test_probability():
    schedule = Augment(blit=1, p=Schedule(0.0, 0.5, 10))
    assert augment_adaptive.init(schedule) is None
    assert float(augment_adaptive.probability(resolve(schedule, 4), None)) == pytest.approx(0.2)
    adaptive = Augment(blit=1, adaptive=True, p=0.25)
    assert float(augment_adaptive.probability(adaptive, augment_adaptive.init(adaptive))) == 0.25


@pytest.mark.parametrize(
    ("shape", "said"),
    [
        ((4, 8), r"\[4, 8\]"),
        ((4, 1, 8, 3), r"\[4, 1, 8, 3\]"),
        ((4, 8, 8, 2), "1 or 3 channels, got 2"),
    ],
)
def test_errors(shape, said):
    with pytest.raises(UserError, match=said):
        augment_adaptive.augment(ALL, jnp.zeros(shape), KEYS[:4], 1.0, True)


def test_flags():
    words = "--blit 1 --color 0.5 --p 0:0.55:100:cosine --diffaugment color cutout"
    expected = Augment(
        blit=1,
        color=0.5,
        p=Schedule(0.0, 0.55, 100, "cosine"),
        diffaugment=("color", "cutout"),
    )
    assert tyro.cli(Augment, args=words.split()) == expected
