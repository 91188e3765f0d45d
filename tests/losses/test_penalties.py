"""The critic's penalties against closed forms: values, gradients, and what an example's part is."""

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

# Each is the mean of a function of the slope s = |grad f|. The function, and its derivative.
OF_SLOPE = {
    "r1": (lambda s: s**2 / 2, lambda s: s),
    "r2": (lambda s: s**2 / 2, lambda s: s),
    "gradient_penalty": (lambda s: (s - 1) ** 2, lambda s: 2 * (s - 1)),
    "one_sided": (lambda s: np.maximum(0, s - 1) ** 2, lambda s: 2 * np.maximum(0, s - 1)),
    "dragan": (lambda s: (s - 1) ** 2, lambda s: 2 * (s - 1)),
}


def draw(seed, *shape):
    return jnp.asarray(np.random.default_rng(seed).standard_normal(shape), jnp.float32)


def linear(w, x):
    return x.reshape(len(x), -1) @ w


def quadratic(params, x):
    a, b = params
    return 0.5 * ((x @ a) * x).sum(1) + x @ b


@functools.cache
def network(shape, **fields):
    """A critic of examples of this shape that is curved everywhere, and its parameters."""
    module = mlp.Discriminator(widths=(8,), activation="tanh", **fields)
    params = jax.jit(lambda x: module.init(jax.random.key(0), x, train=False))(
        jnp.zeros((4, *shape))
    )
    return lambda params, x: module.apply(params, x, train=True), params


@functools.partial(jax.jit, static_argnums=(0, 1, 5))
def penalise(names, critic, params, real, fake, axis=None):
    """By name, the penalties and their gradients with respect to the critic's parameters."""
    own = keys.example_keys(KEY, len(real), axis)

    def one(params, name):
        return penalties.PENALTIES[name](lambda x: critic(params, x), real, fake, own, axis)

    return {name: jax.value_and_grad(one)(params, name) for name in names}


def places(name, real, fake):
    """Where the slope is taken, by each penalty's definition, in numpy."""
    real, fake, own = np.float64(real), np.float64(fake), keys.example_keys(KEY, len(real))
    if name == "dragan":
        noise = jax.vmap(lambda key: jax.random.uniform(key, real.shape[1:]))(own)
        return real + 0.5 * real.std() * np.asarray(noise)
    share = {"r1": np.ones(len(real)), "r2": np.zeros(len(real))}
    share = share.get(name, np.asarray(jax.vmap(jax.random.uniform)(own)))
    share = share.reshape(-1, *[1] * (real.ndim - 1))
    return share * real + (1 - share) * fake


def test_config():
    assert [field.name for field in dataclasses.fields(schema.Penalties)] == list(NAMES)
    assert tuple(OF_SLOPE) == NAMES


@pytest.mark.parametrize("n", [1, 5])
@pytest.mark.parametrize("name", NAMES)
def test_linear_critic(name, n):
    of, derivative = OF_SLOPE[name]
    direction = np.asarray(draw(2, 6)) / np.linalg.norm(draw(2, 6))
    for norm in (0.0, 0.3, 1.0, 2.5):  # the slope is w at every place
        w = jnp.asarray(norm * direction, jnp.float32)
        value, grad = penalise((name,), linear, w, draw(0, n, 2, 3), draw(1, n, 2, 3))[name]
        # A float32 norm of order one is known to 1e-7, and its distance from 1 no better.
        np.testing.assert_allclose(value, of(norm), rtol=1e-5, atol=1e-6)
        expected = derivative(norm) * direction * (norm > 0)  # at slope zero: no direction, no NaN
        np.testing.assert_allclose(grad, expected, rtol=1e-5, atol=2e-6)


def rectified(w, x):
    return jax.nn.relu(x @ w)


@pytest.mark.parametrize("name", NAMES)
def test_dead_examples(name):
    # The critic is flat at half of the examples, which take no part in the gradient. DRAGAN's noise
    # of up to 0.5 std < 1.6 a pixel moves wx by less than its 8.
    x = jnp.asarray([[4.0, 1.0], [-4.0, -1.0]] * 3)
    value, grad = penalise((name,), rectified, jnp.asarray([1.5, 2.0]), x, x)[name]
    of, derivative = OF_SLOPE[name]
    np.testing.assert_allclose(value, 0.5 * of(2.5) + 0.5 * of(0.0), rtol=1e-6)  # float32
    np.testing.assert_allclose(grad, 0.5 * derivative(2.5) * np.asarray([0.6, 0.8]), rtol=1e-6)


def symmetric(seed):
    return draw(seed, 3, 3) + draw(seed, 3, 3).T


@pytest.mark.parametrize("name", NAMES)
def test_quadratic_critic(name):
    # f = 1/2 xAx + bx has the slope Ax + b, where A is symmetric; as a parameter it need not be.
    real, fake, a, b = 1 + draw(0, 16, 3), 2 * draw(1, 16, 3), symmetric(2), draw(3, 3)
    value, (by_a, by_b) = penalise((name,), quadratic, (a, b), real, fake)[name]
    x = places(name, real, fake)
    slope = x @ np.asarray(a) + np.asarray(b)
    norm = np.linalg.norm(slope, axis=1, keepdims=True)
    of, derivative = OF_SLOPE[name]
    # Float32 sums of 16 terms of either sign, each of up to a hundred.
    np.testing.assert_allclose(value, of(norm).mean(), rtol=1e-5)
    pull = derivative(norm) * slope / norm
    np.testing.assert_allclose(by_b, pull.mean(0), rtol=1e-5, atol=1e-4)
    outer = (pull[:, :, None] * x[:, None, :]).mean(0)
    np.testing.assert_allclose(by_a, (outer + outer.T) / 2, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("name", ["r1", "r2"])
def test_moments(name):
    # A batch that has the mean m and the covariance S exactly: 1/2 tr(ASA) + 1/2 |Am + b|^2.
    mean, factor = np.asarray([1.0, -2.0, 0.5]), np.tril(draw(4, 3, 3))
    white = np.linalg.qr(np.asarray(draw(5, 12, 3)) - np.asarray(draw(5, 12, 3)).mean(0))[0]
    x = jnp.asarray(mean + np.sqrt(12) * white @ factor.T, jnp.float32)
    value, _ = penalise((name,), quadratic, (symmetric(2), draw(3, 3)), x, x)[name]
    a, b = np.float64(symmetric(2)), np.float64(draw(3, 3))
    expected = np.trace(a @ factor @ factor.T @ a) + np.square(a @ mean + b).sum()
    np.testing.assert_allclose(value, expected / 2, rtol=1e-5)  # float32, of a sum of squares


@pytest.mark.parametrize("group", [0, 4])
def test_summed_logits(group):
    # Row j, column i of the Jacobian is what example i does to logit j: without layers that mix the
    # examples only its own, with them the penalty has the whole column.
    critic, params = network((2, 3), minibatch_std=group)

    @jax.jit
    def slopes(x):
        own = jax.vmap(jax.grad(lambda x: critic(params, x[None])[0]))(x)
        whole = jax.jacrev(lambda x: critic(params, x))(x).sum(0)
        squares = [jnp.square(slope).reshape(4, -1).sum(1) for slope in (own, whole)]
        return penalties.squared_gradient_norm(lambda x: critic(params, x), x), *squares

    found, own, whole = slopes(draw(0, 4, 2, 3))
    np.testing.assert_allclose(found, whole, rtol=1e-5)  # float32 sums in another order
    assert np.allclose(found, own, rtol=1e-5) == (group == 0)


def test_several_logits_of_an_example_are_summed():
    w, x = draw(1, 3, 2), draw(2, 5, 3)
    found = penalties.squared_gradient_norm(lambda x: x @ w, x)
    np.testing.assert_allclose(found, [np.square(np.asarray(w).sum(1)).sum()] * 5, rtol=1e-6)


def test_image_shape():
    real, fake = draw(0, 6, 4, 4, 3), draw(1, 6, 4, 4, 3)
    critic, params = network((4, 4, 3))
    image = penalise(NAMES, critic, params, real, fake)
    flat = penalise(NAMES, critic, params, real.reshape(6, -1), fake.reshape(6, -1))
    small.assert_trees_close(image, flat, rtol=1e-5, atol=1e-6)  # float32 sums in another order


def test_between():
    n = 2000
    own = keys.example_keys(KEY, n)
    e = np.asarray(penalties.interpolate(jnp.ones((n, 2, 3)), jnp.zeros((n, 2, 3)), own)).reshape(
        n, -1
    )
    assert (e == e[:, :1]).all()  # one per example, not per pixel
    assert 0 <= e.min() < e.max() <= 1
    # Kolmogorov-Smirnov: sqrt(n) times the largest gap passes 1.95 in one draw of a thousand.
    gap = np.abs(np.sort(e[:, 0]) - (np.arange(n) + 0.5) / n).max()
    assert gap * np.sqrt(n) < 1.95
    real, fake = draw(0, 5, 2, 3), draw(1, 5, 2, 3)
    found = penalties.interpolate(real, fake, own[:5])
    expected = places("gradient_penalty", real, fake)
    np.testing.assert_allclose(found, expected, atol=1e-6)  # float32, terms of order one


def test_cut_batch():
    # An example's part is its own: a piece of the batch, with its keys, is a piece of the whole.
    real, fake, own = draw(0, 8, 3), draw(1, 8, 3), keys.example_keys(KEY, 8)
    whole = penalties.interpolate(real, fake, own)
    parts = [penalties.interpolate(real[i], fake[i], own[i]) for i in (slice(0, 3), slice(3, 8))]
    assert bool((jnp.concatenate(parts) == whole).all())
    critic, params = network((3,))
    slopes = jax.jit(
        functools.partial(penalties.squared_gradient_norm, functools.partial(critic, params))
    )
    np.testing.assert_allclose(slopes(real)[:3], slopes(real[:3]), rtol=1e-5)  # float32 sums


@pytest.mark.parametrize("mapped", [jax.vmap, jax.pmap])
def test_devices(mapped):
    # The mean over two devices is the penalty of the whole batch; so DRAGAN's std is that of both,
    # of which one has other examples than the other.
    real, fake = draw(0, 8, 3) + jnp.repeat(jnp.asarray([0.0, 3.0]), 4)[:, None], draw(1, 8, 3)
    critic, params = network((3,))

    def each(real, fake):
        return lax.pmean(penalise(NAMES, critic, params, real, fake, "devices"), "devices")

    halves = mapped(each, axis_name="devices")(real.reshape(2, 4, 3), fake.reshape(2, 4, 3))
    whole = penalise(NAMES, critic, params, real, fake)
    # Float32 sums in another order, and a std from a difference of squares.
    small.assert_trees_close(
        halves, jax.tree.map(lambda x: jnp.stack([x, x]), whole), rtol=1e-5, atol=3e-6
    )


@pytest.mark.parametrize("pixel", [0.1, 0.2, 0.3, 1.1])
def test_constant_batch(pixel):
    # Its variance, a difference of squares, rounds to below zero; its std may not be NaN.
    real = jnp.full((8, 3), pixel)
    value, _ = penalise(("dragan",), quadratic, (jnp.eye(3), jnp.zeros(3)), real, real)["dragan"]
    # A std of up to sqrt(3e-7), were the variance to round the other way.
    np.testing.assert_allclose(value, (np.sqrt(3) * pixel - 1) ** 2, atol=2e-3)


def test_bfloat16_critic():
    critic, params = network((3,), dtype="bfloat16")
    found = penalise(NAMES, critic, params, draw(0, 4, 3), draw(1, 4, 3))
    assert all(part.dtype == jnp.float32 for part in jax.tree.leaves(found))
    assert all(bool(jnp.isfinite(part).all()) for part in jax.tree.leaves(found))
    # |w|^2 has 9 bits, one too many for bfloat16: its sum is float32 where all else is not.
    w = jnp.asarray([1.0, 1 / 16], jnp.bfloat16)
    squared = penalties.squared_gradient_norm(lambda x: x @ w, draw(2, 4, 2).astype(jnp.bfloat16))
    assert squared.dtype == jnp.float32
    assert squared.tolist() == [1 + 1 / 256] * 4


@pytest.mark.parametrize("name", NAMES)
def test_packs(name):
    """A critic w.(x_1, x_2) of pairs has the slope w at every pair; its norm is over both."""
    of, derivative = OF_SLOPE[name]
    real, fake, own = draw(0, 6, 2, 3), draw(1, 6, 2, 3), keys.example_keys(KEY, 6)
    direction = np.asarray(draw(2, 12)) / np.linalg.norm(draw(2, 12))

    def penalty(w):
        def of_pairs(x):
            return x.reshape(3, -1) @ w

        return penalties.PENALTIES[name](of_pairs, real, fake, own, pack=2)

    penalty = jax.jit(jax.value_and_grad(penalty))

    for norm in (0.3, 2.5):
        value, grad = penalty(jnp.asarray(norm * direction, jnp.float32))
        # As in test_linear_critic.
        np.testing.assert_allclose(value, of(norm), rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(grad, derivative(norm) * direction, rtol=1e-5, atol=2e-6)


def test_between_packs():
    """One e a pack, that of its first example; and the slopes of packs, in their order."""
    real, fake, own = draw(0, 6, 2), draw(1, 6, 2), keys.example_keys(KEY, 6)
    found = penalties.interpolate(real, fake, own, 3)
    e = np.asarray(jax.vmap(jax.random.uniform)(own))[[0, 0, 0, 3, 3, 3], None]
    np.testing.assert_allclose(found, e * real + (1 - e) * fake, atol=1e-6)  # float32
    assert bool(
        (penalties.interpolate(real, fake, own, 1) == penalties.interpolate(real, fake, own)).all()
    )
    squared = penalties.squared_gradient_norm(
        lambda x: jnp.square(x).reshape(2, -1).sum(1), real, 3
    )
    expected = 4 * np.square(np.asarray(real)).reshape(2, -1).sum(1)
    np.testing.assert_allclose(squared, expected, rtol=1e-6)  # float32


@pytest.mark.parametrize(("shape", "pack"), [((4,), 2), ((1,), 2), ((1, 2), 2), ((1,), 3)])
def test_logit_shape_of_packs(shape, pack):
    with pytest.raises(AssertionError):
        penalties.squared_gradient_norm(lambda x: x.sum() * jnp.ones(shape), draw(0, 4, 3), pack)


@pytest.mark.parametrize("shape", [(), (1,), (1, 4), (4, 2, 2)])
@pytest.mark.parametrize("name", NAMES)
def test_logit_shape(name, shape):
    with pytest.raises(AssertionError):
        penalise((name,), lambda w, x: w * x.sum() * jnp.ones(shape), 1.0, *[draw(0, 4, 3)] * 2)
