"""Gradient penalties against closed forms: values, gradients, and parts of a batch."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from gan_jax.config import schema
from gan_jax.core import keys
from gan_jax.losses import penalties
from gan_jax.networks import mlp
from tests.helpers import small

NAMES = tuple(penalties.PENALTIES)
KEY = jax.random.key(3)

# Each penalty is the mean of a function of the slope s = |grad f|: the function, its derivative.
SLOPE_FUNCTIONS = {
    "r1": (lambda s: s**2 / 2, lambda s: s),
    "r2": (lambda s: s**2 / 2, lambda s: s),
    "gradient_penalty": (lambda s: (s - 1) ** 2, lambda s: 2 * (s - 1)),
    "one_sided": (lambda s: np.maximum(0, s - 1) ** 2, lambda s: 2 * np.maximum(0, s - 1)),
    "dragan": (lambda s: (s - 1) ** 2, lambda s: 2 * (s - 1)),
}


def normal(seed, *shape):
    return jnp.asarray(np.random.default_rng(seed).standard_normal(shape), jnp.float32)


def linear(w, x):
    return x.reshape(len(x), -1) @ w


def quadratic(params, x):
    a, b = params
    return 0.5 * ((x @ a) * x).sum(1) + x @ b


@functools.cache
def network(shape, **fields):
    """Return a smooth nonlinear discriminator of examples of this shape, and its parameters."""
    module = mlp.Discriminator(widths=(8,), activation="tanh", **fields)
    params = jax.jit(lambda x: module.init(jax.random.key(0), x, train=False))(
        jnp.zeros((4, *shape))
    )
    return lambda params, x: module.apply(params, x, train=True), params


@functools.partial(jax.jit, static_argnums=(0, 1, 5))
def penalize(names, discriminator, params, real, fake, axis=None):
    """Return, by name, penalties and their gradients with respect to the parameters."""
    example_keys = keys.example_keys(KEY, len(real), axis)

    def penalty(params, name):
        return penalties.PENALTIES[name](
            lambda x: discriminator(params, x), real, fake, example_keys, axis
        )

    return {name: jax.value_and_grad(penalty)(params, name) for name in names}


def penalty_points(name, real, fake):
    """Return the points at which a penalty takes the slope, computed in NumPy."""
    real, fake, example_keys = np.float64(real), np.float64(fake), keys.example_keys(KEY, len(real))
    if name == "dragan":
        noise = jax.vmap(lambda key: jax.random.uniform(key, real.shape[1:]))(example_keys)
        return real + 0.5 * real.std() * np.asarray(noise)
    weight = {"r1": np.ones(len(real)), "r2": np.zeros(len(real))}
    weight = weight.get(name, np.asarray(jax.vmap(jax.random.uniform)(example_keys)))
    weight = weight.reshape(-1, *[1] * (real.ndim - 1))
    return weight * real + (1 - weight) * fake


def test_config_lists_all_penalties():
    assert [field.name for field in dataclasses.fields(schema.Penalties)] == list(NAMES)
    assert tuple(SLOPE_FUNCTIONS) == NAMES


@pytest.mark.parametrize("n", [1, 5])
@pytest.mark.parametrize("name", NAMES)
def test_linear_discriminator(name, n):
    term, derivative = SLOPE_FUNCTIONS[name]
    direction = np.asarray(normal(2, 6)) / np.linalg.norm(normal(2, 6))
    for norm in (0.0, 0.3, 1.0, 2.5):  # the slope is w everywhere
        w = jnp.asarray(norm * direction, jnp.float32)
        value, grad = penalize((name,), linear, w, normal(0, n, 2, 3), normal(1, n, 2, 3))[name]
        # A float32 norm of order one is accurate to 1e-7, and so is its distance from 1.
        np.testing.assert_allclose(value, term(norm), rtol=1e-5, atol=1e-6)
        expected = derivative(norm) * direction * (norm > 0)  # at slope zero: no direction, no NaN
        np.testing.assert_allclose(grad, expected, rtol=1e-5, atol=2e-6)


def rectified(w, x):
    return jax.nn.relu(x @ w)


@pytest.mark.parametrize("name", NAMES)
def test_examples_without_slope_do_not_contribute(name):
    # The discriminator is flat at half of the examples. DRAGAN's noise of up to 0.5 std < 1.6 per
    # pixel changes wx by less than its value of 8.
    x = jnp.asarray([[4.0, 1.0], [-4.0, -1.0]] * 3)
    value, grad = penalize((name,), rectified, jnp.asarray([1.5, 2.0]), x, x)[name]
    term, derivative = SLOPE_FUNCTIONS[name]
    np.testing.assert_allclose(value, 0.5 * term(2.5) + 0.5 * term(0.0), rtol=1e-6)  # float32
    np.testing.assert_allclose(grad, 0.5 * derivative(2.5) * np.asarray([0.6, 0.8]), rtol=1e-6)


def symmetric(seed):
    return normal(seed, 3, 3) + normal(seed, 3, 3).T


@pytest.mark.parametrize("name", NAMES)
def test_quadratic_discriminator(name):
    # f = 1/2 xAx + bx has the slope Ax + b for symmetric A. The gradient of A is not restricted.
    real, fake, a, b = 1 + normal(0, 16, 3), 2 * normal(1, 16, 3), symmetric(2), normal(3, 3)
    value, (grad_a, grad_b) = penalize((name,), quadratic, (a, b), real, fake)[name]
    x = penalty_points(name, real, fake)
    slope = x @ np.asarray(a) + np.asarray(b)
    norm = np.linalg.norm(slope, axis=1, keepdims=True)
    term, derivative = SLOPE_FUNCTIONS[name]
    # Float32 sums of 16 terms of both signs, each of up to a hundred.
    np.testing.assert_allclose(value, term(norm).mean(), rtol=1e-5)
    slope_grad = derivative(norm) * slope / norm
    np.testing.assert_allclose(grad_b, slope_grad.mean(0), rtol=1e-5, atol=1e-4)
    outer = (slope_grad[:, :, None] * x[:, None, :]).mean(0)
    np.testing.assert_allclose(grad_a, (outer + outer.T) / 2, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("name", ["r1", "r2"])
def test_quadratic_discriminator_by_the_moments_of_the_batch(name):
    # A batch with exactly the mean m and the covariance S: 1/2 tr(ASA) + 1/2 |Am + b|^2.
    mean, factor = np.asarray([1.0, -2.0, 0.5]), np.tril(normal(4, 3, 3))
    white = np.linalg.qr(np.asarray(normal(5, 12, 3)) - np.asarray(normal(5, 12, 3)).mean(0))[0]
    x = jnp.asarray(mean + np.sqrt(12) * white @ factor.T, jnp.float32)
    value, _ = penalize((name,), quadratic, (symmetric(2), normal(3, 3)), x, x)[name]
    a, b = np.float64(symmetric(2)), np.float64(normal(3, 3))
    expected = np.trace(a @ factor @ factor.T @ a) + np.square(a @ mean + b).sum()
    np.testing.assert_allclose(value, expected / 2, rtol=1e-5)  # float32 sum of squares


@pytest.mark.parametrize("group", [0, 4])
def test_summed_logits(group):
    # Row j, column i of the Jacobian is the gradient of logit j by example i. The penalty sums over
    # each column. Only layers that mix examples have entries off the diagonal.
    discriminator, params = network((2, 3), minibatch_std=group)

    @jax.jit
    def slopes(x):
        diagonal = jax.vmap(jax.grad(lambda x: discriminator(params, x[None])[0]))(x)
        column = jax.jacrev(lambda x: discriminator(params, x))(x).sum(0)
        squares = [jnp.square(slope).reshape(4, -1).sum(1) for slope in (diagonal, column)]
        return penalties.squared_gradient_norm(lambda x: discriminator(params, x), x), *squares

    squared, diagonal, column = slopes(normal(0, 4, 2, 3))
    np.testing.assert_allclose(squared, column, rtol=1e-5)  # float32 sums in another order
    assert np.allclose(squared, diagonal, rtol=1e-5) == (group == 0)


def test_several_logits_per_example_are_summed():
    w, x = normal(1, 3, 2), normal(2, 5, 3)
    squared = penalties.squared_gradient_norm(lambda x: x @ w, x)
    np.testing.assert_allclose(squared, [np.square(np.asarray(w).sum(1)).sum()] * 5, rtol=1e-6)


def test_penalties_do_not_depend_on_the_example_shape():
    real, fake = normal(0, 6, 4, 4, 3), normal(1, 6, 4, 4, 3)
    discriminator, params = network((4, 4, 3))
    image = penalize(NAMES, discriminator, params, real, fake)
    flat = penalize(NAMES, discriminator, params, real.reshape(6, -1), fake.reshape(6, -1))
    small.assert_trees_close(image, flat, rtol=1e-5, atol=1e-6)  # float32 sums in another order


def test_interpolate_is_uniform_between_real_and_fake():
    n = 2000
    example_keys = keys.example_keys(KEY, n)
    e = np.asarray(
        penalties.interpolate(jnp.ones((n, 2, 3)), jnp.zeros((n, 2, 3)), example_keys)
    ).reshape(n, -1)
    assert (e == e[:, :1]).all()  # per example, not per pixel
    assert 0 <= e.min() < e.max() <= 1
    # Kolmogorov-Smirnov: sqrt(n) times the largest gap exceeds 1.95 with probability 0.001.
    gap = np.abs(np.sort(e[:, 0]) - (np.arange(n) + 0.5) / n).max()
    assert gap * np.sqrt(n) < 1.95
    real, fake = normal(0, 5, 2, 3), normal(1, 5, 2, 3)
    points = penalties.interpolate(real, fake, example_keys[:5])
    expected = penalty_points("gradient_penalty", real, fake)
    np.testing.assert_allclose(points, expected, atol=1e-6)  # float32, terms of order one


def test_part_of_a_batch_has_the_same_points_and_slopes():
    # Examples are independent: the result for a part of the batch, with its keys, does not change.
    real, fake, example_keys = normal(0, 8, 3), normal(1, 8, 3), keys.example_keys(KEY, 8)
    whole = penalties.interpolate(real, fake, example_keys)
    parts = [
        penalties.interpolate(real[i], fake[i], example_keys[i]) for i in (slice(0, 3), slice(3, 8))
    ]
    assert bool((jnp.concatenate(parts) == whole).all())
    discriminator, params = network((3,))
    slopes = jax.jit(
        functools.partial(penalties.squared_gradient_norm, functools.partial(discriminator, params))
    )
    np.testing.assert_allclose(slopes(real)[:3], slopes(real[:3]), rtol=1e-5)  # float32 sums


@pytest.mark.parametrize("mapped", [jax.vmap, jax.pmap])
def test_mean_over_devices_is_the_penalty_of_the_whole_batch(mapped):
    # The devices have different examples, so DRAGAN's std must be that of the whole batch.
    real, fake = normal(0, 8, 3) + jnp.repeat(jnp.asarray([0.0, 3.0]), 4)[:, None], normal(1, 8, 3)
    discriminator, params = network((3,))

    def on_device(real, fake):
        return lax.pmean(penalize(NAMES, discriminator, params, real, fake, "devices"), "devices")

    halves = mapped(on_device, axis_name="devices")(real.reshape(2, 4, 3), fake.reshape(2, 4, 3))
    whole = penalize(NAMES, discriminator, params, real, fake)
    # Float32 sums in another order, and a std from a difference of squares.
    small.assert_trees_close(
        halves, jax.tree.map(lambda x: jnp.stack([x, x]), whole), rtol=1e-5, atol=3e-6
    )


@pytest.mark.parametrize("pixel", [0.1, 0.2, 0.3, 1.1])
def test_dragan_of_a_constant_batch_is_not_nan(pixel):
    # Its variance, a difference of squares, rounds to a value below zero.
    real = jnp.full((8, 3), pixel)
    value, _ = penalize(("dragan",), quadratic, (jnp.eye(3), jnp.zeros(3)), real, real)["dragan"]
    # If the variance rounds to a value above zero, the std is up to sqrt(3e-7).
    np.testing.assert_allclose(value, (np.sqrt(3) * pixel - 1) ** 2, atol=2e-3)


def test_penalties_of_a_bfloat16_discriminator_are_float32():
    discriminator, params = network((3,), dtype="bfloat16")
    penalties_and_grads = penalize(NAMES, discriminator, params, normal(0, 4, 3), normal(1, 4, 3))
    assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(penalties_and_grads))
    assert all(bool(jnp.isfinite(leaf).all()) for leaf in jax.tree.leaves(penalties_and_grads))
    # |w|^2 has 9 bits, more than bfloat16 can represent: the squares are summed in float32.
    w = jnp.asarray([1.0, 1 / 16], jnp.bfloat16)
    squared = penalties.squared_gradient_norm(lambda x: x @ w, normal(2, 4, 2).astype(jnp.bfloat16))
    assert squared.dtype == jnp.float32
    assert squared.tolist() == [1 + 1 / 256] * 4


@pytest.mark.parametrize("name", NAMES)
def test_linear_discriminator_of_packs(name):
    """A discriminator w.(x_1, x_2) of pairs has the slope w, whose norm is over both."""
    term, derivative = SLOPE_FUNCTIONS[name]
    real, fake, example_keys = normal(0, 6, 2, 3), normal(1, 6, 2, 3), keys.example_keys(KEY, 6)
    direction = np.asarray(normal(2, 12)) / np.linalg.norm(normal(2, 12))

    def penalty(w):
        def pair_logits(x):
            return x.reshape(3, -1) @ w

        return penalties.PENALTIES[name](pair_logits, real, fake, example_keys, pack=2)

    penalty = jax.jit(jax.value_and_grad(penalty))

    for norm in (0.3, 2.5):
        value, grad = penalty(jnp.asarray(norm * direction, jnp.float32))
        # As in test_linear_discriminator.
        np.testing.assert_allclose(value, term(norm), rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(grad, derivative(norm) * direction, rtol=1e-5, atol=2e-6)


def test_interpolation_and_slopes_of_packs():
    """All examples of a pack share the e of the first. Slopes are in the order of packs."""
    real, fake, example_keys = normal(0, 6, 2), normal(1, 6, 2), keys.example_keys(KEY, 6)
    points = penalties.interpolate(real, fake, example_keys, 3)
    e = np.asarray(jax.vmap(jax.random.uniform)(example_keys))[[0, 0, 0, 3, 3, 3], None]
    np.testing.assert_allclose(points, e * real + (1 - e) * fake, atol=1e-6)  # float32
    assert bool(
        (
            penalties.interpolate(real, fake, example_keys, 1)
            == penalties.interpolate(real, fake, example_keys)
        ).all()
    )
    squared = penalties.squared_gradient_norm(
        lambda x: jnp.square(x).reshape(2, -1).sum(1), real, 3
    )
    expected = 4 * np.square(np.asarray(real)).reshape(2, -1).sum(1)
    np.testing.assert_allclose(squared, expected, rtol=1e-6)  # float32


@pytest.mark.parametrize(("shape", "pack"), [((4,), 2), ((1,), 2), ((1, 2), 2), ((1,), 3)])
def test_packs_require_one_logit_per_pack(shape, pack):
    with pytest.raises(AssertionError):
        penalties.squared_gradient_norm(lambda x: x.sum() * jnp.ones(shape), normal(0, 4, 3), pack)


@pytest.mark.parametrize("shape", [(), (1,), (1, 4), (4, 2, 2)])
@pytest.mark.parametrize("name", NAMES)
def test_penalties_require_logits_of_the_batch(name, shape):
    with pytest.raises(AssertionError):
        penalize((name,), lambda w, x: w * x.sum() * jnp.ones(shape), 1.0, *[normal(0, 4, 3)] * 2)
