"""Layers against plain NumPy, on one device and on several."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.networks import layers, mlp

KEY = jax.random.key(3)


def normal(*shape):
    return np.random.default_rng(3).normal(size=shape).astype(np.float32)


def sharded(function, devices):
    """Map function(x [n, ...]) over the axis "devices", and concatenate the results."""

    mapped = jax.pmap(function, axis_name="devices", devices=jax.local_devices()[:devices])

    def run(x):
        results = mapped(x.reshape(devices, len(x) // devices, *x.shape[1:]))
        return jax.tree.map(lambda leaf: np.concatenate(np.asarray(leaf)), results)

    return run


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("linear", lambda x: x),
        ("relu", lambda x: np.maximum(x, 0)),
        ("leaky_relu", lambda x: np.where(x > 0, x, 0.2 * x)),
        ("elu", lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0)))),
        ("gelu", lambda x: x / 2 * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))),
        ("silu", lambda x: x / (1 + np.exp(-x))),
        ("softplus", lambda x: np.logaddexp(0, x)),
        ("sigmoid", lambda x: 1 / (1 + np.exp(-x))),
        ("tanh", np.tanh),
    ],
)
def test_activations(name, plain):
    x = np.linspace(-4, 4, 33)
    # A few float32 rounding errors of values up to 4.
    np.testing.assert_allclose(layers.activate(jnp.asarray(x), name), plain(x), rtol=0, atol=2e-6)


def test_an_unknown_activation_is_rejected():
    with pytest.raises(ValueError, match="'swish'"):
        layers.activate(jnp.ones(3), "swish")


def minibatch_std(x, group):
    """Compute the feature that MinibatchStd adds, [n], with loops over examples."""
    groups = len(x) // group
    members = [x[[j for j in range(len(x)) if j % groups == i % groups]] for i in range(len(x))]
    return np.array([np.sqrt(member.var(0) + 1e-8).mean() for member in members])


@pytest.mark.parametrize("devices", [1, 2, 4])
@pytest.mark.parametrize("shape", [(8, 5), (8, 3, 2, 4)])
@pytest.mark.parametrize("group_size", [2, 4, 100])
def test_minibatch_std(group_size, shape, devices):
    x = normal(*shape)
    layer = layers.MinibatchStd(group_size, "devices" if devices > 1 else None)
    output = sharded(lambda x: layer.apply({}, x), devices)(x)
    assert output.shape == (*shape[:-1], shape[-1] + 1)
    np.testing.assert_array_equal(output[..., :-1], x)
    feature = minibatch_std(x.astype(np.float64), min(group_size, 8))
    feature = np.broadcast_to(feature.reshape(-1, *[1] * (x.ndim - 1)), (*shape[:-1], 1))
    # Float32 means of at most 8 examples and 24 features, of values about 1.
    np.testing.assert_allclose(output[..., -1:], feature, rtol=1e-6)


def test_minibatch_std_of_equal_examples_is_small_and_differentiable():
    x = jnp.ones((4, 3))
    grad = jax.grad(lambda x: layers.MinibatchStd(4).apply({}, x)[:, -1].sum())(x)
    np.testing.assert_array_equal(grad, np.zeros((4, 3)))  # a bare square root would give NaN


def test_minibatch_std_rejects_groups_that_do_not_divide():
    with pytest.raises(ValueError, match="6 examples, got 4"):
        layers.MinibatchStd(4).apply({}, jnp.ones((6, 3)))


def test_minibatch_std_is_computed_in_float32():
    # In bfloat16 the mean of such numbers would be rounded to a multiple of 4.
    x = (1000 + 4 * normal(8, 50)).astype(jnp.bfloat16)
    output = layers.MinibatchStd(8).apply({}, jnp.asarray(x))
    assert output.dtype == jnp.bfloat16
    expected = minibatch_std(x.astype(np.float64), 8)
    # Only the result is rounded, to 8 bits.
    np.testing.assert_allclose(np.asarray(output[:, -1], np.float64), expected, rtol=2**-8)


@pytest.mark.parametrize(
    ("layer", "identity", "matrix"),
    [
        (nn.Dense(6, use_bias=False), np.eye(9), lambda kernel: kernel),
        # A 1x1 convolution of single pixels is a matrix too.
        (nn.Conv(6, (1, 1), use_bias=False), np.eye(9)[:, None, None], lambda kernel: kernel[0, 0]),
    ],
    ids=["dense", "conv"],
)
def test_spectral_norm_finds_the_largest_singular_value(layer, identity, matrix):
    norm, identity = layers.SpectralNorm(layer), jnp.asarray(identity, jnp.float32)
    variables = norm.init(KEY, identity, train=False)
    kernel = np.asarray(matrix(jax.tree.leaves(variables["params"])[0]), np.float64)

    @jax.jit
    def train(stats):
        state = {**variables, "batch_stats": stats}
        return norm.apply(state, identity, train=True, mutable="batch_stats")[1]["batch_stats"]

    stats = variables["batch_stats"]
    for _ in range(150):
        stats = train(stats)
    applied = norm.apply({**variables, "batch_stats": stats}, identity, train=False).reshape(9, 6)
    singular, right = np.linalg.svd(kernel)[1:]
    # After 150 power iterations the error is the squared ratio of the second singular value to the
    # first, to the 150th power: below 1e-9 here. Float32 rounding is 1e-6.
    assert (singular[1] / singular[0]) ** 300 < 1e-9
    np.testing.assert_allclose(np.linalg.norm(applied, 2), 1, rtol=1e-6)
    np.testing.assert_allclose(applied, kernel / singular[0], atol=1e-6)
    named = {path[-1].key.rpartition("/")[2]: v for path, v in jax.tree.leaves_with_path(stats)}
    np.testing.assert_allclose(named["sigma"], singular[0], rtol=1e-6)
    np.testing.assert_allclose(abs(named["u"][0] @ right[0]), 1, rtol=1e-6)


def test_spectral_norm_is_updated_only_in_training():
    norm, x = layers.SpectralNorm(nn.Dense(6)), jnp.ones((2, 9))
    variables = norm.init(KEY, x, train=False)
    for train, updated in ((False, False), (True, True)):
        stats = norm.apply(variables, x, train=train, mutable="batch_stats")[1]["batch_stats"]
        same = jax.tree.map(lambda a, b: bool((a == b).all()), stats, variables["batch_stats"])
        assert all(jax.tree.leaves(same)) != updated


def test_spectral_norm_differentiates_through_sigma():
    # For fixed u and v, sigma is linear in W, so W / sigma(W) does not depend on the scale of W:
    # the gradient is orthogonal to W.
    norm, x = layers.SpectralNorm(nn.Dense(6, use_bias=False)), normal(4, 9)
    variables = norm.init(KEY, x, train=False)

    def run(params):
        return jnp.square(norm.apply({**variables, "params": params}, x, train=False)).sum()

    (grad,) = jax.tree.leaves(jax.grad(run)(variables["params"]))
    (weight,) = jax.tree.leaves(variables["params"])
    cosine = (grad * weight).sum() / jnp.linalg.norm(grad) / jnp.linalg.norm(weight)
    assert abs(cosine) < 1e-6  # float32 rounding of 54 products


class Norm(nn.Module):
    axis: layers.Axis = None

    @nn.compact
    def __call__(self, x, train):
        return layers.batch_norm(x, train=train, axis=self.axis)


@pytest.mark.parametrize("devices", [1, 2, 8])
def test_batch_norm_uses_the_batch_of_all_devices(devices):
    x = 3 + 2 * normal(16, 4)
    layer = Norm("devices")
    variables = Norm().init(KEY, x, train=False)

    def run(x):
        y, stats = layer.apply(variables, x, train=True, mutable="batch_stats")
        return y, jax.tree.map(lambda leaf: leaf[None], stats["batch_stats"]["BatchNorm_0"])

    y, stats = sharded(run, devices)(x)
    mean, var = x.mean(0, dtype=np.float64), x.var(0, dtype=np.float64)
    # The variance is E x^2 - (E x)^2 in float32: errors of 1e-7 of E x^2 = 13, relative to 4.
    np.testing.assert_allclose(y, (x - mean) / np.sqrt(var + 1e-5), atol=2e-6)
    for device in range(devices):
        np.testing.assert_allclose(stats["mean"][device], 0.1 * mean, rtol=1e-6)
        np.testing.assert_allclose(stats["var"][device], 0.9 + 0.1 * var, rtol=1e-6)


def test_batch_norm_uses_running_statistics_in_evaluation():
    x = normal(5, 2)
    variables = Norm().init(KEY, x, train=False)
    running = {"mean": jnp.array([1.0, -1.0]), "var": jnp.array([4.0, 0.25])}
    variables = {**variables, "batch_stats": {"BatchNorm_0": running}}
    y, stats = Norm().apply(variables, x, train=False, mutable="batch_stats")
    expected = (x - np.array([1, -1])) / np.sqrt([4 + 1e-5, 0.25 + 1e-5])
    # A subtraction and a division in float32.
    np.testing.assert_allclose(y, expected, atol=1e-6)
    np.testing.assert_array_equal(stats["batch_stats"]["BatchNorm_0"]["mean"], running["mean"])


def test_one_hot():
    rows = layers.one_hot(jnp.array([2, 0], jnp.int32), 3, 2)
    np.testing.assert_array_equal(rows, [[0, 0, 1], [1, 0, 0]])
    assert rows.dtype == layers.one_hot(None, 0, 2).dtype == jnp.float32
    assert layers.one_hot(None, 0, 2).shape == (2, 0)


@pytest.mark.parametrize(
    ("cond", "classes", "received"), [(None, 3, "no labels"), (np.zeros(2, int), 0, "labels")]
)
def test_one_hot_rejects_labels_that_do_not_match_the_classes(cond, classes, received):
    with pytest.raises(ValueError, match=f"of {classes} classes, got {received}"):
        layers.one_hot(cond, classes, 2)


def test_on_axis():
    module = mlp.Generator(widths=(3,))
    assert layers.on_axis(module, "devices") == mlp.Generator(widths=(3,), axis="devices")
    assert layers.on_axis(module, None) == module
    assert layers.on_axis(nn.Dense(3), "devices") == nn.Dense(3)  # it does not mix examples


@pytest.mark.parametrize("patch", [1, 2, 4])
def test_depth_to_space_inverts_space_to_depth(patch):
    x = jnp.arange(3 * 8 * 4 * 2.0).reshape(3, 8, 4, 2)
    blocks = layers.space_to_depth(x, patch)
    assert blocks.shape == (3, 8 // patch, 4 // patch, 2 * patch**2)
    np.testing.assert_array_equal(blocks[0, 0, 0], x[0, :patch, :patch].ravel())
    np.testing.assert_array_equal(layers.depth_to_space(blocks, patch), x)


def test_the_projection_is_an_inner_product_with_the_labels_embedding():
    class Discriminator(nn.Module):
        @nn.compact
        def __call__(self, labels, y):
            return layers.projection(labels, y, nn.initializers.normal(1))

    labels, y = jnp.array([2, 0, 1, 2]), jnp.arange(8.0).reshape(4, 2)
    logits, variables = Discriminator().init_with_output(
        jax.random.key(0), jax.nn.one_hot(labels, 3), y
    )
    rows = variables["params"]["embed"]["kernel"][labels]
    np.testing.assert_allclose(logits, (rows * y).sum(1), rtol=1e-6)  # float32 sums of two
