"""Augmentation: transformations, distributions, gradients, and the adaptive rule.

Each transformation is compared with a direct computation.
"""

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
N = 2000  # samples
KEYS = keys.example_keys(jax.random.key(0), N)

apply = jax.jit(augment_adaptive.augment, static_argnums=(0, 4))
resample = jax.jit(geometry.resample)


def images(n=4, side=8, channels=3, low=-1.0):
    pixels = np.random.default_rng(0).uniform(low, 1, (n, side, side, channels))
    return jnp.asarray(pixels, jnp.float32)


def smooth(row, column):
    """Return an image [h, w, 2] of waves of some 25 pixels, with slopes of 1/4 per pixel."""
    return np.stack([np.sin(row / 4 + 1), np.cos(column / 5 - row / 8)], -1)


def grid(side):
    return np.meshgrid(*[np.arange(side) - (side - 1) / 2] * 2, indexing="ij")


@functools.cache
def compiled_sampler(sampler, *shape):
    return jax.jit(jax.vmap(lambda key, p: sampler(key, p, *shape), (0, None)))


def sample_parameters(sampler, p, *shape):
    """Sample the parameters of N examples."""
    return jax.tree.map(np.asarray, compiled_sampler(sampler, *shape)(KEYS, p))


def assert_distribution(values, cdf):
    # Kolmogorov-Smirnov: sqrt(n) times the largest gap exceeds 1.95 with probability 0.001.
    gap = np.abs(cdf(np.sort(values)) - (np.arange(len(values)) + 0.5) / len(values)).max()
    assert gap * math.sqrt(len(values)) < 1.95


def assert_fraction(events, fraction):
    # Five standard deviations of the mean of N Bernoulli variables.
    assert abs(np.mean(events) - fraction) <= 5 * math.sqrt(fraction * (1 - fraction) / N)


def normal(std):
    return np.vectorize(lambda x: 0.5 + 0.5 * math.erf(x / std / math.sqrt(2)))


def uniform(end):
    return lambda x: (x + end) / (2 * end)


@pytest.mark.parametrize("symmetric", [True, False])
def test_identity_at_zero(symmetric):
    x = images(low=-1.0 if symmetric else 0.0)
    augmented = apply(ALL, x, KEYS[:4], 0.0, symmetric)
    # Float32 rounding of filters that cancel.
    np.testing.assert_allclose(augmented, x, rtol=0, atol=1e-6)
    assert augmented.dtype == jnp.float32


@pytest.mark.parametrize(
    "config",
    [Augment(), Augment(p=0.5), Augment(blit=1, color=1), Augment(adaptive=True)],
    ids=["default", "no-group", "no-p", "adaptive-no-group"],
)
def test_augmentation_that_is_off_adds_no_operation(config):
    assert config.is_off
    example_keys = KEYS[:4]
    program = jax.make_jaxpr(
        lambda x: augment_adaptive.augment(config, x, example_keys, 1.0, True)
    )(images())
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
def test_augmentation_is_on(config):
    assert not config.is_off


def test_flips_and_quarter_turns():
    x = images(1)[0]
    flip_and_rotate = jax.jit(blit.flip_and_rotate)
    for flip in (False, True):
        for turns in range(4):
            rotated = flip_and_rotate(
                x, blit.Blit(jnp.asarray(flip), jnp.asarray(turns), jnp.zeros(2))
            )
            expected = np.rot90(np.fliplr(x) if flip else x, turns)
            np.testing.assert_array_equal(rotated, expected)


@pytest.mark.parametrize("outside", ["reflect", "constant"])
def test_shift_by_whole_pixels(outside):
    x = np.asarray(images(1, 16)[0])
    shift = jax.jit(lambda x, offset: blit.shift(x, offset, outside))
    for down, right in ((0, 0), (2, -1), (-2, 2)):
        padded = np.pad(x, [(2, 2), (2, 2), (0, 0)], mode=outside)
        expected = padded[2 - down : 18 - down, 2 - right : 18 - right]
        np.testing.assert_array_equal(shift(x, jnp.asarray([down, right])), expected)


def test_blit_distribution():
    parameters = sample_parameters(blit.sample_blit, 1.0, (16, 16, 3))
    assert_fraction(parameters.flip, 0.5)
    for turns in range(4):
        assert_fraction(parameters.quarter_turns == turns, 0.25)
    for axis in (0, 1):  # U(-2, 2) rounded
        for pixels, fraction in ((-2, 1 / 8), (-1, 1 / 4), (0, 1 / 4), (1, 1 / 4), (2, 1 / 8)):
            assert_fraction(parameters.shift[:, axis] == pixels, fraction)
    parameters = sample_parameters(blit.sample_blit, 0.4, (16, 16, 3))
    assert_fraction(parameters.flip, 0.2)
    assert_fraction(parameters.quarter_turns == 0, 0.7)
    parameters = sample_parameters(blit.sample_blit, 0.4, (16, 8, 3))
    assert_fraction(parameters.quarter_turns == 2, 0.2)  # not square: no quarter turns
    assert set(parameters.quarter_turns) == {0, 2}
    assert (np.abs(parameters.shift) <= [2, 1]).all()


def test_resampling_by_whole_pixels():
    x = images(1, 16)[0]
    resampled = resample(x, geometry.translation(-2.0, 1.0))
    expected = blit.shift(x, jnp.asarray([2, -1]), "reflect")
    # Float32 rounding of filters that cancel.
    np.testing.assert_allclose(resampled, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_resampling_by_quarter_turns(turns):
    x = jnp.asarray(smooth(*grid(32)), jnp.float32)
    resampled = resample(x, geometry.rotation(-turns * math.pi / 2))
    # The filter delays by 5.1 samples instead of 5: 0.1 pixels in a half turn, at a slope of 1/4.
    np.testing.assert_allclose(resampled[4:-4, 4:-4], np.rot90(x, turns)[4:-4, 4:-4], atol=0.035)


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
    positions = np.einsum("ij,jhw->ihw", matrix, np.stack([row, column, np.ones_like(row)]))
    resampled = resample(jnp.asarray(smooth(row, column), jnp.float32), inverse)
    # As above, and linear interpolation at twice the rate, which flattens waves by less than 1%.
    inside = np.abs(positions).max(0, keepdims=True)[0][..., None] < 12
    expected = smooth(positions[0], positions[1])
    np.testing.assert_allclose(resampled * inside, expected * inside, atol=0.035)


def test_reflection_beyond_the_border():
    # An image shrunk to a quarter shows several reflections; those of a constant are constant.
    resampled = resample(jnp.full((8, 8, 1), 0.7), geometry.scaling(4.0, 4.0))
    np.testing.assert_allclose(resampled, 0.7, atol=1e-6)  # float32
    ramp = jnp.broadcast_to(jnp.linspace(-1.0, 1.0, 9)[:, None, None], (9, 9, 1))
    resampled = resample(ramp, geometry.translation(8.0, 0.0))[
        :, :, 0
    ]  # its reflection: upside down
    np.testing.assert_allclose(resampled, -ramp[:, :, 0], atol=1e-6)  # float32


def test_geometry_distribution():
    assert (sample_parameters(geometry.sample_inverse, 0.0, (32, 16, 3)) == np.eye(3)).all()
    inverses = sample_parameters(geometry.sample_inverse, 1.0, (32, 16, 3)).astype(np.float64)
    area = np.log2(np.linalg.det(inverses))  # the square of 1 / scale
    assert_distribution(area, normal(0.4))
    stretch = np.linalg.svd(inverses[:, :2, :2])[1]  # 1/scale times 2^|N(0, 0.2^2)| and its inverse
    stretch = np.log2(stretch[:, 0] / stretch[:, 1]) / 2
    assert_distribution(stretch, lambda x: 2 * normal(0.2)(x) - 1)
    new_center = -np.linalg.solve(inverses[:, :2, :2], inverses[:, :2, 2:])[
        ..., 0
    ]  # position of the old center
    for axis, side in ((0, 32), (1, 16)):
        assert_distribution(new_center[:, axis], normal(side / 8))
    # Rotated before or after stretching with p = 1/2; otherwise axes stay those of the image.
    assert_fraction(sample_parameters(geometry.sample_inverse, 0.5, (32, 16, 3))[:, 0, 1] != 0, 0.5)


def test_rotation_distribution():
    matrices = sample_parameters(geometry.sample_inverse, 1.0, (32, 16, 3))[:, :2, :2]
    # The rotation of the polar decomposition: the sum of two uniform angles.
    angle = np.arctan2(matrices[:, 1, 0] - matrices[:, 0, 1], matrices[:, 0, 0] + matrices[:, 1, 1])
    assert_distribution(angle, uniform(math.pi))


def color_parameters(**fields):
    neutral = {"brightness": 0.0, "contrast": 1.0, "luma": 1.0, "hue": 0.0, "saturation": 1.0}
    return color.Color(**jax.tree.map(jnp.float32, neutral | fields))


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
    ids=["brightness", "contrast", "luma", "hue", "saturation", "combined"],
)
def test_color_matrix(fields, matrix, offset):
    x = np.asarray(images(1)[0])
    adjusted = jax.jit(color.adjust_color)(x, color_parameters(**fields))
    np.testing.assert_allclose(adjusted, x @ matrix.T + offset, atol=1e-6)  # float32, of order one


def test_color_of_grayscale_images():
    # Equal to an RGB image with three equal channels, which hue and saturation do not change.
    x, adjust_color = images(1, channels=1)[0], jax.jit(color.adjust_color)
    parameters = color_parameters(brightness=0.2, contrast=1.5, luma=-1.0, hue=2.0, saturation=3.0)
    rgb = adjust_color(jnp.repeat(x, 3, 2), parameters)
    expected = jnp.repeat(adjust_color(x, parameters), 3, 2)
    np.testing.assert_allclose(rgb, expected, atol=1e-6)  # float32


def test_color_distribution():
    parameters = sample_parameters(color.sample_color, 1.0)
    assert_distribution(parameters.brightness, normal(0.2))
    assert_distribution(np.log2(parameters.contrast), normal(0.5))
    assert_fraction(parameters.luma == -1, 0.5)
    assert_distribution(parameters.hue, uniform(math.pi))
    assert_distribution(np.log2(parameters.saturation), normal(1.0))
    parameters = sample_parameters(color.sample_color, 0.3)
    for name, neutral in (("brightness", 0), ("contrast", 1), ("hue", 0), ("saturation", 1)):
        assert_fraction(getattr(parameters, name) != neutral, 0.3)
    assert_fraction(parameters.luma == -1, 0.15)


def test_cutout_region_and_distribution():
    apply_cutout = jax.jit(cutout.apply_cutout)
    x = np.ones((16, 8, 2), np.float32)
    x[6:14, 0:3] = 0  # rows 6 to 13 around 10/16, columns up to 2 around 1/8
    augmented = apply_cutout(jnp.ones_like(x), jnp.asarray([10 / 16, 1 / 8, 0.5]))
    np.testing.assert_array_equal(augmented, x)
    parameters = sample_parameters(cutout.sample_cutout, 0.3)
    assert_fraction(parameters[:, 2] == 0.5, 0.3)
    assert_fraction(parameters[:, 2] == 0.0, 0.7)
    assert_distribution(parameters[:, 0], lambda x: x)
    assert_distribution(parameters[:, 1], lambda x: x)


def test_strength_scales_the_probability():
    # Cutout has probability p x strength and fills with mid-gray: 0.5 for pixels in [0, 1].
    # A center in the middle half of both sides removes a quarter of the pixels.
    config = Augment(cutout=0.6, p=1.0)
    augmented = np.asarray(apply(config, jnp.zeros((N, 8, 8, 1)), KEYS, 0.5, False))
    assert set(augmented.ravel()) == {0.0, 0.5}
    area = (augmented == 0.5).mean((1, 2, 3))
    assert_fraction(area > 0, 0.3)
    assert area.max() == 0.25
    assert_fraction(area == 0.25, 0.3 * (5 / 8) ** 2)  # 5 of 8 centers remove 4 pixels of a side


@pytest.mark.parametrize("config", [ALL, DIFFAUGMENT], ids=["ada", "diffaugment"])
def test_augmentation_depends_on_the_key_and_not_on_the_layout(config):
    # The transformation depends only on the key of the example, and not on the range of the pixels.
    x = images()
    augmented = apply(config, x, KEYS[:4], 0.8, True)
    assert float(jnp.abs(augmented - x).min(0).max()) > 0.1  # of order one, well above rounding
    permutation = jnp.asarray([2, 0, 3, 1])
    # Float32, values of order ten; [0, 1] needs one more addition and product.
    np.testing.assert_allclose(
        apply(config, x[permutation], KEYS[:4][permutation], 0.8, True),
        augmented[permutation],
        atol=1e-5,
    )
    unit = apply(config, (x + 1) / 2, KEYS[:4], 0.8, False)
    np.testing.assert_allclose(2 * unit - 1, augmented, atol=1e-5)


@pytest.mark.parametrize(
    ("config", "channels"),
    [(ALL, 3), (DIFFAUGMENT, 3), (dataclasses.replace(ALL, geometry=0), 1)],
    ids=["ada", "diffaugment", "grayscale"],
)
def test_penalty_gradient_through_the_augmentation(config, channels):
    # The augmentation is affine, x -> Ax + b. For the discriminator f(x) = w(Ax + b), the gradient
    # of |grad_x f|^2 by w is 2 AA'w.
    x = images(channels=channels)

    @jax.jit
    @functools.partial(jax.grad, has_aux=True)
    def penalty_gradient(w):
        def discriminator(x):
            return (w * augment_adaptive.augment(config, x, KEYS[:4], 1.0, True)).sum()

        slope = jax.grad(discriminator)(x)
        return jnp.square(slope).sum(), slope

    gradient, slope = penalty_gradient(x[::-1] ** 2)
    at_slope, at_zero = (apply(config, y, KEYS[:4], 1.0, True) for y in (slope, jnp.zeros_like(x)))
    assert float(jnp.abs(gradient).max()) > 0.1
    # Float32, of order ten; neither contains NaN.
    np.testing.assert_allclose(
        gradient, 2 * (at_slope - at_zero), rtol=1e-4, atol=1e-4, equal_nan=False
    )


def test_diffaugment_color_distribution():
    # Two pixels: brightness shifts their mean, contrast and saturation scale the differences.
    config = Augment(diffaugment=("color",))
    x = jnp.broadcast_to(jnp.asarray([[[1.0, 0.5, 0.0], [0.0, -0.5, -1.0]]] * 2), (N, 2, 2, 3))
    augmented = np.asarray(apply(config, x, KEYS, 0.0, True), np.float64)
    assert_distribution(augmented.mean((1, 2, 3)), uniform(0.5))
    gray = augmented.mean(3)[:, 0]
    contrast = gray[:, 0] - gray[:, 1]
    assert_distribution(contrast - 1, uniform(0.5))
    spread = augmented[:, 0, 0, 0] - augmented[:, 0, 0, 2]
    assert_distribution(spread / contrast - 1, uniform(1.0))


def test_diffaugment_translation_distribution():
    # All pixels differ. Translations are at most 2 of 16 pixels per axis, filled with zeros.
    config = Augment(diffaugment=("translation",))
    x = 1 + np.arange(256.0, dtype=np.float32).reshape(16, 16, 1)
    augmented = np.asarray(apply(config, jnp.broadcast_to(x, (N, 16, 16, 1)), KEYS, 0.0, True))
    middle = augmented[:, 8, 8, 0] - 1
    down, right = 8 - middle // 16, 8 - middle % 16
    for shifts in (down, right):
        assert set(shifts) == {-2, -1, 0, 1, 2}
        for shift in range(-2, 3):
            assert_fraction(shifts == shift, 0.2)
    assert ((augmented == 0).sum((1, 2, 3)) == 256 - (16 - abs(down)) * (16 - abs(right))).all()


def test_diffaugment_cutout_distribution():
    # A square of 4; its center is on any of the 9 grid lines of 8 pixels.
    config = Augment(diffaugment=("cutout",))
    augmented = np.asarray(apply(config, jnp.ones((N, 8, 8, 1)), KEYS, 0.0, True))[..., 0]
    rows, columns = ((augmented == 0).any(axis).sum(1) for axis in (2, 1))
    assert ((augmented == 0).sum((1, 2)) == rows * columns).all()
    for lengths in (rows, columns):
        assert_fraction(lengths == 4, 5 / 9)
        assert_fraction(lengths == 3, 2 / 9)
        assert_fraction(lengths == 2, 2 / 9)


def rule(config, signs, images_per_update):
    """Return the last state, and p after each discriminator update with these signs."""

    def update(state, sign):
        state = augment_adaptive.adapt(config, state, sign, images_per_update)
        return state, state.p

    return jax.jit(lambda signs: jax.lax.scan(update, augment_adaptive.init(config), signs))(
        jnp.asarray(signs, jnp.float32)
    )


def test_adaptive_p_moves_from_0_to_1_over_500_000_images_and_back():
    # 1000 images per update, always overfitting: p increases by 4000 / 500000 every fourth update
    # and reaches 1 after exactly 500000 images. Then it decreases, and stops at 0.
    config = Augment(blit=1, adaptive=True)
    state, p = rule(config, [1.0] * 504 + [-1.0] * 520, 1000)
    p = np.asarray(p, np.float64)
    expected = np.clip(np.arange(1, 505) // 4 * 0.008, 0, 1)
    np.testing.assert_allclose(p[:504], expected, atol=1e-5)  # sum of 125 float32 terms
    assert p[498] < 1 - 0.004
    assert p[503] == 1
    np.testing.assert_allclose(
        p[504:], np.clip(1 - np.arange(1, 521) // 4 * 0.008, 0, 1), atol=1e-5
    )
    assert p[-1] == 0
    assert state.signs == state.count == 0


def test_adaptive_p_follows_the_mean_of_four_signs():
    # p increases if the mean of four is above 0.6 and decreases if below, whatever the last sign.
    config = Augment(blit=1, adaptive=True, p=0.5)
    ups, downs = [1.0, 1.0, 1.0, 0.0], [0.5, 0.0, 0.9, 0.9]
    _, p = rule(config, ups + downs + downs, 50_000)
    np.testing.assert_allclose(p, [0.5] * 3 + [0.9] * 4 + [0.5] * 4 + [0.1], atol=1e-6)  # float32


def test_adaptive_p_ignores_nonfinite_signs():
    # An update with non-finite logits is not counted.
    config = Augment(blit=1, adaptive=True, adapt_every=2)
    with jax.debug_nans(False):
        _, p = rule(config, [1.0, math.nan, math.nan, 1.0, 1.0], 50_000)
        np.testing.assert_allclose(p, [0, 0, 0, 0.2, 0.2], atol=1e-7)  # float32


def test_probability_of_a_schedule_and_of_the_adaptive_state():
    schedule = Augment(blit=1, p=Schedule(0.0, 0.5, 10))
    assert augment_adaptive.init(schedule) is None
    assert float(augment_adaptive.probability(resolve(schedule, 4), None)) == pytest.approx(0.2)
    adaptive = Augment(blit=1, adaptive=True, p=0.25)
    assert float(augment_adaptive.probability(adaptive, augment_adaptive.init(adaptive))) == 0.25


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((4, 8), r"\[4, 8\]"),
        ((4, 1, 8, 3), r"\[4, 1, 8, 3\]"),
        ((4, 8, 8, 2), "1 or 3 channels, got 2"),
    ],
)
def test_unsupported_shapes_are_rejected(shape, message):
    with pytest.raises(UserError, match=message):
        augment_adaptive.augment(ALL, jnp.zeros(shape), KEYS[:4], 1.0, True)


def test_command_line_flags():
    arguments = "--blit 1 --color 0.5 --p 0:0.55:100:cosine --diffaugment color cutout"
    expected = Augment(
        blit=1,
        color=0.5,
        p=Schedule(0.0, 0.55, 100, "cosine"),
        diffaugment=("color", "cutout"),
    )
    assert tyro.cli(Augment, args=arguments.split()) == expected
