"""Perceptual path length: linear generators, interpolation and batching."""

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


def sample_z(example_keys):
    return keys.latents(example_keys, 4, "normal")


def linear(latents, _):
    return latents @ A.T


def squared_distance(a, b):
    return jnp.square(a - b).sum(-1)


lengths = functools.partial(path_lengths, linear, squared_distance, sample_z, lerp, KEY)


def endpoints(n):
    """Endpoints of the paths, sampled with the keys of `path_lengths`."""
    example_keys = jax.vmap(lambda key: jax.random.split(key, 4))(keys.example_keys(KEY, n))
    return np.float64(sample_z(example_keys[:, 0])), np.float64(sample_z(example_keys[:, 1]))


@pytest.mark.parametrize(
    ("epsilon", "rtol"),
    [
        (0.25, 1e-5),  # float32
        (1e-4, 0.02),  # float32 near one is exact to 6e-4 of a step, and lengths are squared
    ],
)
def test_a_linear_generator_in_closed_form(epsilon, rtol):
    a, b = endpoints(50)
    expected = np.square((b - a) @ np.float64(A).T).sum(1)
    np.testing.assert_allclose(lengths(50, epsilon), expected, rtol=rtol)


def test_latents_can_be_mapped():
    # In W the endpoints are f(z): here 3 z, which makes lengths 9 times as large.
    mapped = path_lengths(
        linear,
        squared_distance,
        lambda example_keys: 3 * sample_z(example_keys),
        lerp,
        KEY,
        50,
        0.25,
    )
    np.testing.assert_allclose(mapped, 9 * lengths(50, 0.25), rtol=1e-5)  # float32


def test_slerp_follows_a_great_circle():
    # Between unit vectors at an angle w, a step is a chord: (2 sin(epsilon w / 2) / epsilon)^2.
    def unit(example_keys):
        return sample_z(example_keys) / jnp.linalg.norm(
            sample_z(example_keys), axis=1, keepdims=True
        )

    a, b = (z / np.linalg.norm(z, axis=1, keepdims=True) for z in endpoints(50))
    w = np.arccos((a * b).sum(1))
    great_circle_lengths = path_lengths(lambda z, _: z, squared_distance, unit, slerp, KEY, 50, 0.1)
    # Float32 errors are divided by the step of 0.1.
    np.testing.assert_allclose(great_circle_lengths, np.square(20 * np.sin(w / 20)), rtol=1e-4)


def test_a_path_depends_on_its_index_only():
    expected = lengths(25)
    for n, batch in ((25, 25), (25, 7), (25, 1), (10, 64)):
        # Float32 in another summation order, over a step of 1e-4.
        np.testing.assert_allclose(lengths(n, batch=batch), expected[:n], rtol=0.02)
    assert len(np.unique(expected)) == 25
    np.testing.assert_array_equal(lengths(25), expected)


def test_both_ends_share_noise_and_label():
    def noisy(latents, example_keys):
        label = jax.vmap(lambda key: jax.random.randint(key, (), 0, 10))(example_keys)
        return 0 * latents + jax.vmap(jax.random.normal)(example_keys)[:, None] + label[:, None]

    noisy_lengths = path_lengths(noisy, squared_distance, sample_z, slerp, KEY, 20)
    np.testing.assert_array_equal(noisy_lengths, 0)


def test_an_image_may_be_any_pytree():
    def generate(latents, example_keys):
        return {"a": linear(latents, example_keys), "b": latents}

    def distance(first, second):
        return squared_distance(first["a"], second["a"]) + squared_distance(first["b"], second["b"])

    a, b = endpoints(30)
    expected = np.square((b - a) @ np.float64(A).T).sum(1) + np.square(b - a).sum(1)
    pytree_lengths = path_lengths(generate, distance, sample_z, lerp, KEY, 30, 0.25)
    np.testing.assert_allclose(pytree_lengths, expected, rtol=1e-5)  # float32


def test_the_extreme_percentiles_are_trimmed():
    values = np.random.default_rng(0).permutation(1000.0 * np.arange(201) ** 3)
    # The 1st and 99th percentiles of 0 to 200 are 2 and 198, which are kept.
    expected = 1000.0 * np.arange(2, 199) ** 3
    np.testing.assert_array_equal(np.sort(trim_percentiles(values)), expected)
    np.testing.assert_array_equal(trim_percentiles(values[:1]), values[:1])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n": 0}, "path lengths must be an integer from 1 to"),
        ({"batch": 0}, "batch must be an integer from 1 to"),
        ({"epsilon": 0.0}, "got 0.0"),
        ({"epsilon": 1.0}, "got 1.0"),
        (
            {"distance": lambda a, b: squared_distance(a, b).mean()},
            "distance must be [64], got shape ()",
        ),
        ({"distance": lambda a, b: squared_distance(a, b) / 0}, "got inf for path 0"),
    ],
)
def test_bad_input_is_rejected(change, message):
    arguments = {
        "generate": linear,
        "distance": squared_distance,
        "sample_latents": sample_z,
        "interpolate": lerp,
    }
    with pytest.raises(UserError) as error:
        path_lengths(**{**arguments, "key": KEY, "n": 3, **change})
    assert message in str(error.value)
    assert "must" in str(error.value)
