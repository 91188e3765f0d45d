"""SNGAN against its papers: initialization, batch norm, spectral norm and projection."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.networks import layers, resnet, sngan, wgan_gp
from gan_jax.networks.conv.layers import Conv

KEY = jax.random.key(0)


def init(module, *inputs):
    return jax.jit(lambda: module.init(KEY, *inputs, train=True))()


def kernels(params, path=()):
    for name, value in params.items():
        if name == "kernel":
            yield "/".join(path), np.asarray(value)
        elif isinstance(value, dict):
            yield from kernels(value, (*path, name))


def test_initialization():
    """Kernels are uniform up to a bound of sqrt(6 / (fan_in + fan_out)).

    The bound of 3x3 kernels in blocks is sqrt(2) times that. Scales are 1 and offsets 0 for every
    class. Kernels of the discriminator have a factor each, the first estimate of sigma, by which
    flax's spectral norm divides what it stores.
    """
    params = init(sngan.Generator(width=32, classes=5), jnp.zeros((5, 128)), jnp.arange(5))[
        "params"
    ]
    residual = 0
    for name, kernel in kernels(params):
        if name.endswith(("scale", "offset")):
            assert kernel.shape == (5, 32)
            np.testing.assert_array_equal(kernel, name.endswith("scale"))
            continue
        area = np.prod(kernel.shape[:-2])
        bound = np.sqrt(6 / (area * (kernel.shape[-2] + kernel.shape[-1])))
        if "Block" in name and area == 9:
            bound, residual = np.sqrt(2) * bound, residual + 1
        assert_uniform(np.abs(kernel) / bound, name)
    assert residual == 6
    network = sngan.Discriminator(width=32, classes=5)
    params = init(network, jnp.zeros((5, 32, 32, 3)), jnp.arange(5))["params"]
    disc_kernels = dict(kernels(params))
    assert len(disc_kernels) == 12
    for name, kernel in disc_kernels.items():
        assert_uniform(np.abs(kernel) / np.abs(kernel).max(), name)


def assert_uniform(values, name):
    """Assert that values are uniform in [0, 1], up to four standard errors of the mean."""
    assert values.max() <= 1 + 1e-6, name  # float32 rounding
    assert abs(values.mean() - 0.5) < 4 * 0.289 / np.sqrt(values.size), name


def conditional_norm(x, scale, offset, labels):
    """Compute conditional batch norm with a loop over examples."""
    mean, var = x.mean((0, 1, 2)), x.var((0, 1, 2))
    y = [
        scale[k] * (a - mean) / np.sqrt(var + 1e-5) + offset[k]
        for k, a in zip(labels, x, strict=True)
    ]
    return np.stack(y)


def test_conditional_batch_norm():
    random = np.random.default_rng(1)
    x = 3 + 2 * random.normal(size=(6, 4, 4, 5))
    labels = np.array([2, 0, 1, 2, 2, 0])
    norm = resnet.ConditionalBatchNorm(None, "float32")
    x32, rows = jnp.asarray(x, jnp.float32), jax.nn.one_hot(labels, 3)
    variables = init(norm, x32, rows)
    initial = norm.apply(variables, x32, rows, train=True, mutable="batch_stats")[0]
    # Variances are E x^2 - (E x)^2 in float32: errors of 1e-7 of 13, over 4; offsets up to 3.
    expected = conditional_norm(x, np.ones((3, 5)), np.zeros((3, 5)), labels)
    np.testing.assert_allclose(initial, expected, atol=3e-6)

    scale, offset = random.normal(size=(2, 3, 5))
    params = {"scale": {"kernel": jnp.float32(scale)}, "offset": {"kernel": jnp.float32(offset)}}
    assert jax.tree.map(jnp.shape, params) == jax.tree.map(jnp.shape, variables["params"])
    y, stats = norm.apply(
        {**variables, "params": params}, x32, rows, train=True, mutable="batch_stats"
    )
    np.testing.assert_allclose(y, conditional_norm(x, scale, offset, labels), atol=1e-5)
    running = stats["batch_stats"]["BatchNorm_0"]
    np.testing.assert_allclose(running["mean"], 0.1 * x.mean((0, 1, 2)), rtol=1e-5)
    np.testing.assert_allclose(running["var"], 0.9 + 0.1 * x.var((0, 1, 2)), rtol=1e-5)


def test_conditional_batch_norm_uses_the_batch_of_all_devices():
    x = 3 + 2 * jax.random.normal(KEY, (8, 4, 4, 5))
    rows = jax.nn.one_hot(jnp.arange(8) % 3, 3)
    variables = init(resnet.ConditionalBatchNorm(None, "float32"), x, rows)
    apply = {
        axis: lambda x, rows, axis=axis: resnet.ConditionalBatchNorm(axis, "float32").apply(
            variables, x, rows, train=True, mutable="batch_stats"
        )[0]
        for axis in (None, "devices")
    }
    halves = [a.reshape(2, 4, *a.shape[1:]) for a in (x, rows)]
    sharded = jax.pmap(apply["devices"], axis_name="devices", devices=jax.local_devices()[:2])(
        *halves
    )
    # Sums in another order: E x^2 - (E x)^2 has errors of 1e-7 of 13, a millionth of the variance.
    np.testing.assert_allclose(sharded.reshape(x.shape), apply[None](x, rows), rtol=2e-6, atol=2e-6)


def test_resampling():
    x = jnp.arange(24.0).reshape(1, 2, 4, 3)
    enlarged = np.repeat(np.repeat(x, 2, 1), 2, 2)
    np.testing.assert_array_equal(resnet.upsample(x), enlarged)
    np.testing.assert_array_equal(resnet.downsample(resnet.upsample(x)), x)
    means = (x[:, 0::2, 0::2] + x[:, 1::2, 0::2] + x[:, 0::2, 1::2] + x[:, 1::2, 1::2]) / 4
    np.testing.assert_array_equal(resnet.downsample(x), means)


def test_sigma_of_a_convolution_converges_to_its_largest_singular_value():
    norm = layers.SpectralNorm(Conv(6, 3))
    x = jax.random.normal(KEY, (1, 2, 2, 4))
    variables = init(norm, x)

    def train(_, stats):
        state = {**variables, "batch_stats": stats}
        return norm.apply(state, x, train=True, mutable="batch_stats")[1]["batch_stats"]

    iterate = jax.jit(lambda stats: jax.lax.fori_loop(0, 500, train, stats))
    stats = iterate(variables["batch_stats"])
    kernel = np.asarray(variables["params"]["layer_instance"]["kernel"], np.float64)
    singular = np.linalg.svd(kernel.reshape(-1, 6), compute_uv=False)
    # The error of the power iterations; float32 rounding is 1e-6.
    assert (singular[1] / singular[0]) ** 1000 < 1e-9
    np.testing.assert_allclose(stats["layer_instance/kernel/sigma"], singular[0], rtol=1e-6)


def sigma(kernel, u):
    """Estimate sigma with one power iteration (1802.05957, alg. 1) on [the rest, c_out]."""
    weight = np.asarray(kernel, np.float64).reshape(-1, kernel.shape[-1])
    v = weight @ np.asarray(u, np.float64)[0]
    return np.linalg.norm(v / np.linalg.norm(v) @ weight)


def normalize(params, stats):
    """Divide every kernel by its sigma, and keep every bias."""
    result = dict(params)
    for name, value in stats.items():
        if not name.startswith("SpectralNorm"):
            result[name] = normalize(params[name], value)
            continue
        u = {path.split("/")[0]: leaf for path, leaf in value.items() if path.endswith("/u")}
        for layer in u:
            kernel = params[layer]["kernel"]
            result[layer] = {**params[layer], "kernel": kernel / sigma(kernel, u[layer])}
    return result


@pytest.mark.parametrize("classes", [0, 3])
def test_every_weight_and_no_bias_is_spectrally_normalized(classes):
    """Compare with WGAN-GP's critic at weights that are divided by hand.

    It has the same blocks without spectral norm, and the mean over 8x8 pixels where SNGAN has the
    sum.
    """
    fields = {"width": 4, "classes": classes, "last_bias": False}
    x = jax.random.normal(KEY, (3, 32, 32, 3))
    cond = jnp.arange(3) if classes else None
    network = sngan.Discriminator(**fields)
    variables = init(network, x, cond)
    # Biases start at 0, where division would have no effect.
    params = jax.tree.map(lambda leaf: leaf if leaf.any() else leaf + 0.1, variables["params"])
    stats = variables["batch_stats"]
    state, critic = {"params": params, "batch_stats": stats}, wgan_gp.Discriminator(**fields)
    logits = jax.jit(lambda: network.apply(state, x, cond, train=True, mutable="batch_stats")[0])()
    state = {"params": normalize(params, stats)}
    expected = 64 * jax.jit(lambda: critic.apply(state, x, cond, train=True))()
    # Eight layers of float32 sums of some 40 products.
    np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-4)
    assert len(jax.tree.leaves(stats)) == 2 * (10 + 1 + bool(classes))


def test_projection():
    """The logit is w phi(x) + <embed(y), phi(x)> (1802.05637, fig. 1d)."""
    network = sngan.Discriminator(width=4, classes=3, last_bias=True)
    x, cond = jax.random.normal(KEY, (4, 32, 32, 3)), jnp.array([2, 0, 1, 2])
    variables = init(network, x, cond)
    options = {
        "capture_intermediates": lambda module, _: isinstance(module, resnet.DownBlock),
        "mutable": "intermediates",
    }
    logits, captured = jax.jit(lambda: network.apply(variables, x, cond, train=False, **options))()
    (blocks,) = captured["intermediates"]["DownBlock_3"]["__call__"]
    phi = np.maximum(blocks, 0).sum((1, 2))
    params, stats = variables["params"], variables["batch_stats"]
    w, embed = params["Dense_0"]["kernel"], params["embed"]["kernel"]
    w = w / sigma(w, stats["SpectralNorm_0"]["Dense_0/kernel/u"])
    embed = embed / sigma(embed, stats["SpectralNorm_1"]["embed/kernel/u"])
    expected = phi @ w[:, 0] + (phi * embed[np.asarray(cond)]).sum(1)
    # Float32 sums of 4 products of numbers below 100.
    np.testing.assert_allclose(logits, expected, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("network", [sngan.Generator(size=40), sngan.Discriminator(size=40)])
def test_other_sizes_are_rejected(network):
    shape = (1, 8) if isinstance(network, sngan.Generator) else (1, 40, 40, 3)
    with pytest.raises(ValueError, match=r"sngan: size .* \[32, 48, 64, 128\], got 40"):
        network.init(KEY, jnp.zeros(shape), train=True)
