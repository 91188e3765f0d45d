"""Perceptual path length: linear generators, interpolation, and what a path depends on."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.core import keys
from gan_jax.core.errors import UserError
from gan_jax.inference.interpolation import lerp, slerp
from gan_jax.metrics.path_length import path_lengths, trim_percentiles

KEY = keys.root_key(3)
A = jnp.asarray(np.random.default_rng(0).standard_normal((5, 4)), jnp.float32)


def draw_z(own):
    return keys.latents(own, 4, "normal")


def linear(latents, _):
    return latents @ A.T


def squared(here, there):
    return jnp.square(here - there).sum(-1)


lengths = functools.partial(path_lengths, linear, squared, draw_z, lerp, KEY)


def ends(n):
    """The ends of the paths, as `path_lengths` draws them."""
    own = jax.vmap(lambda key: jax.random.split(key, 4))(keys.example_keys(KEY, n))
    return np.float64(draw_z(own[:, 0])), np.float64(draw_z(own[:, 1]))


@pytest.mark.parametrize(
    ("epsilon", "rtol"),
    [
        (0.25, 1e-5),  # float32
        (1e-4, 0.02),  # float32 of order one is known to 6e-4 of the step, and this is its square
    ],
)
def test_linear_generator(epsilon, rtol):
    a, b = ends(50)
    expected = np.square((b - a) @ np.float64(A).T).sum(1)
    np.testing.assert_allclose(lengths(50, epsilon), expected, rtol=rtol)


def test_mapping():
    # In W the ends are f(z): here z times 3, so that lengths are 9 times as large.
    found = path_lengths(linear, squared, lambda own: 3 * draw_z(own), lerp, KEY, 50, 0.25)
    np.testing.assert_allclose(found, 9 * lengths(50, 0.25), rtol=1e-5)  # float32


def test_great_circle():
    # Of unit vectors at an angle w apart, a step is a chord: (2 sin(epsilon w / 2) / epsilon)^2.
    def unit(own):
        return draw_z(own) / jnp.linalg.norm(draw_z(own), axis=1, keepdims=True)

    a, b = (z / np.linalg.norm(z, axis=1, keepdims=True) for z in ends(50))
    w = np.arccos((a * b).sum(1))
    found = path_lengths(lambda z, _: z, squared, unit, slerp, KEY, 50, 0.1)
    np.testing.assert_allclose(found, np.square(20 * np.sin(w / 20)), rtol=1e-4)  # float32 / 0.1


def test_a_path_depends_on_its_number_alone():
    whole = lengths(25)
    for n, batch in ((25, 25), (25, 7), (25, 1), (10, 64)):
        # Float32 products in another order, over a step of 1e-4.
        np.testing.assert_allclose(lengths(n, batch=batch), whole[:n], rtol=0.02)
    assert len(np.unique(whole)) == 25
    np.testing.assert_array_equal(lengths(25), whole)


def test_both_ends_share_what_is_random():
    def noisy(latents, own):
        label = jax.vmap(lambda key: jax.random.randint(key, (), 0, 10))(own)
        return 0 * latents + jax.vmap(jax.random.normal)(own)[:, None] + label[:, None]

    found = path_lengths(noisy, squared, draw_z, slerp, KEY, 20)
    np.testing.assert_array_equal(found, 0)


def test_a_picture_may_be_any_pytree():
    def two(latents, own):
        return {"a": linear(latents, own), "b": latents}

    def both(here, there):
        return squared(here["a"], there["a"]) + squared(here["b"], there["b"])

    a, b = ends(30)
    expected = np.square((b - a) @ np.float64(A).T).sum(1) + np.square(b - a).sum(1)
    found = path_lengths(two, both, draw_z, lerp, KEY, 30, 0.25)
    np.testing.assert_allclose(found, expected, rtol=1e-5)  # float32


def test_a_hundredth_at_either_end_is_left_out():
    found = np.random.default_rng(0).permutation(1000.0 * np.arange(201) ** 3)
    # The percentiles 1 and 99 of 0 to 200 are 2 and 198, which stay.
    kept = 1000.0 * np.arange(2, 199) ** 3
    np.testing.assert_array_equal(np.sort(trim_percentiles(found)), kept)
    np.testing.assert_array_equal(trim_percentiles(found[:1]), found[:1])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"n": 0}, "path lengths must be an integer from 1 to"),
        ({"batch": 0}, "batch must be an integer from 1 to"),
        ({"epsilon": 0.0}, "got 0.0"),
        ({"epsilon": 1.0}, "got 1.0"),
        ({"distance": lambda a, b: squared(a, b).mean()}, "distance must be [64], got shape ()"),
        ({"distance": lambda a, b: squared(a, b) / 0}, "got inf for path 0"),
    ],
)
def test_bad_input(change, said):
    asked = {"generate": linear, "distance": squared, "sample_latents": draw_z, "interpolate": lerp}
    with pytest.raises(UserError) as error:
        path_lengths(**{**asked, "key": KEY, "n": 3, **change})
    assert said in str(error.value)
    assert "must" in str(error.value)
