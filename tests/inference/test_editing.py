"""Interpolation, truncation and latent directions against their formulas."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from gan_jax.config import Masks
from gan_jax.core import keys
from gan_jax.core.errors import UserError
from gan_jax.inference import directions, interpolation, latent_space
from gan_jax.networks import dcgan, mlp, r3gan, sngan, stylegan2, wgan_gp
from tests.helpers import small

KEY = keys.root_key(3)
interpolate = jax.jit(interpolation.interpolate, static_argnums=(2, 3))
slerp = jax.jit(interpolation.slerp)


@pytest.mark.parametrize("t", [0.0, 0.3, 0.5, 1.0])
def test_slerp_in_closed_form(t):
    a, b, fraction = jnp.asarray([[2.0, 0.0]]), jnp.asarray([[0.0, 1.0]]), jnp.full((1, 1), t)
    angle = t * np.pi / 2
    expected = [[2 * np.cos(angle), np.sin(angle)]]
    np.testing.assert_allclose(slerp(a, b, fraction), expected, atol=1e-6)  # float32
    np.testing.assert_allclose(slerp(a, 3 * a, fraction), (1 + 2 * t) * a, rtol=1e-6)  # as lerp
    # The great circle is not unique.
    np.testing.assert_allclose(slerp(a, -a, fraction), (1 - 2 * t) * a, atol=1e-6)
    assert bool(jnp.isfinite(slerp(0 * a, a, fraction)).all())  # the angle is undefined
    # Almost parallel vectors, for which arccos would be off by 1e-4.
    near = jnp.asarray([[1.0, 1e-3]])
    expected = [[np.cos(t * 1e-3), np.sin(t * 1e-3)]]
    np.testing.assert_allclose(slerp(a / 2, near, fraction), expected, atol=1e-6)


def test_latent_walks_follow_the_distribution():
    a, b = jnp.asarray([[3.0, 0.0], [1.0, 2.0]]), jnp.asarray([[0.0, 3.0], [-1.0, 0.5]])
    for distribution, middle in (("normal", 3 / np.sqrt(2)), ("uniform", 1.5), ("w", 1.5)):
        walk = np.asarray(interpolate(a, b, 5, distribution))
        assert walk.shape == (2, 5, 2)
        np.testing.assert_allclose(walk[:, [0, -1]].swapaxes(0, 1), [a, b], atol=1e-6)  # float32
        np.testing.assert_allclose(walk[0, 2], [middle, middle], rtol=1e-6)
    lengths = np.linalg.norm(interpolate(a, b, 9, "normal")[0], axis=1)
    np.testing.assert_allclose(lengths, 3, rtol=1e-6)  # the whole walk stays on the shell
    with pytest.raises(UserError, match="count must be at least 2, got 1"):
        interpolation.interpolate(a, b, 1, "w")


def random_generator(gen, dim):
    """Run config and random generator variables, which are faster than initialization."""
    label = jnp.zeros(2, jnp.int32) if gen.classes else None
    shapes = jax.eval_shape(lambda: gen.init(KEY, jnp.zeros((2, dim)), label, train=False))
    random = np.random.default_rng(0)

    def random_leaf(leaf):  # variances must be positive
        return jnp.asarray(np.abs(random.standard_normal(leaf.shape)), jnp.float32)

    return small.config(gen=gen, z_dim=dim), jax.tree.map(random_leaf, shapes)


def test_truncated_normal_latents():
    space = latent_space.make_latent_space(*random_generator(mlp.Generator((2, 2, 1), (3,)), 5))
    z = sample_latents(interpolation.truncate(space, 0.5), 2000)
    assert z.shape == (2000, 5)
    assert np.abs(z).max() <= 0.5
    # Share of a truncated normal distribution below 0.25: four standard errors of 10,000 values.
    cdf = scipy.stats.norm.cdf
    share = (cdf(0.25) - cdf(-0.25)) / (cdf(0.5) - cdf(-0.5))
    assert abs((np.abs(z) < 0.25).mean() - share) < 4 * 0.5 / 100
    for amount in (0.0, -1.0, np.nan):
        with pytest.raises(UserError, match=f"must be above 0 .* got {amount}"):
            interpolation.truncate(space, amount)
    with pytest.raises(UserError, match=r"uniform z have no tail, got 0\.5"):
        interpolation.truncate(space._replace(distribution="uniform"), 0.5)


@partial(jax.jit, static_argnums=1)
def jitted_sample(sample_latents, n):
    return sample_latents(keys.example_keys(KEY, n), None)


def sample_latents(space, n):
    return np.asarray(jitted_sample(space.sample, n))


STYLE = stylegan2.Generator(8, 1, channel_max=4, latent=5, w_dim=6, mapping_layers=1)


def test_truncated_w():
    config, variables = random_generator(STYLE, STYLE.z_dim)
    variables = {**variables, "moments": {"w_mean": jnp.arange(6.0)}}
    space = latent_space.make_latent_space(config, variables)
    w = sample_latents(space, 3)
    for psi in (0.0, 0.7, 1.0):
        truncated = sample_latents(interpolation.truncate(space, psi), 3)
        expected = np.arange(6) + psi * (w - np.arange(6))
        np.testing.assert_allclose(truncated, expected, atol=1e-6)  # float32
    with pytest.raises(UserError, match=r"must be from 0 to 1 .psi., got 1\.5"):
        interpolation.truncate(space, 1.5)


def test_sefa_is_the_svd_of_the_weight():
    kernel = np.random.default_rng(0).standard_normal((5, 9)).astype(np.float32)
    vectors, strengths = directions.sefa(kernel, 3)
    left_vectors, singular_values, _ = np.linalg.svd(kernel.astype(np.float64))
    np.testing.assert_allclose(strengths, singular_values[:3] ** 2)
    np.testing.assert_allclose(np.abs((vectors * left_vectors.T[:3]).sum(1)), 1)
    changes = np.square(vectors @ kernel).sum(1)
    np.testing.assert_allclose(changes, strengths)
    assert (np.take_along_axis(vectors, np.abs(vectors).argmax(1)[:, None], 1) > 0).all()


def test_pca_finds_the_directions_that_change_most():
    random = np.random.default_rng(0)
    z = random.standard_normal((2000, 6))
    axes = np.linalg.qr(random.standard_normal((6, 6)))[0].T
    out = np.linalg.qr(random.standard_normal((20, 6)))[0].T
    y = (z @ axes.T) * [9, 5, 2, 0.1, 0.1, 0.1] @ out + 7
    vectors, strengths = directions.pca(y, z, 3)
    # Sampling rotates a component by about 1 / sqrt(2000) times the ratio of adjacent spreads.
    assert (np.abs((vectors * axes[:3]).sum(1)) > 0.99).all()
    np.testing.assert_allclose(strengths, [81, 25, 4], rtol=0.15)  # 4 x sqrt(2 / 2000)
    with_itself, _ = directions.pca(z * [9, 5, 2, 1, 1, 1], z * [9, 5, 2, 1, 1, 1], 2)
    assert (np.abs(with_itself[[0, 1], [0, 1]]) > 0.99).all()


def test_directions_of_a_network_with_a_dominant_direction():
    """Both methods find the only latent direction that matters, not that of the labels."""
    config, variables = random_generator(mlp.Generator((2, 2, 1), (30,), 3, activation="tanh"), 5)
    latent_direction = np.float32([3, 0, 4, 0, 0]) / 5
    hidden_direction = np.random.default_rng(0).standard_normal(30).astype(np.float32)
    noise = np.random.default_rng(1).standard_normal((8, 30)).astype(np.float32) / 50
    kernel = noise + np.concatenate(
        [np.outer(latent_direction, hidden_direction), 3 * np.ones((3, 30))]
    ).astype(np.float32)
    variables["params"]["Dense_0"]["kernel"] = jnp.asarray(kernel)
    space = latent_space.make_latent_space(config, variables)
    for method in ("pca", "sefa"):
        result = directions.find_directions(config, variables, space, method, 2, KEY)
        assert result.vectors.shape == (2, 5)
        assert result.vectors[0] @ latent_direction > 0.99
        # Sampling error: 4 / sqrt(2 x 2048) here, and as much in the distribution.
        np.testing.assert_allclose(result.scales, 1, rtol=0.08)


def test_an_inpainting_generator_has_no_latent_space():
    config, variables = random_generator(mlp.Generator((2, 2, 1), (), 2), 4)
    config = config.replace(masks=Masks(("box",)))
    with pytest.raises(UserError, match="is conditioned on more than labels"):
        latent_space.make_latent_space(config, variables)


@pytest.mark.parametrize(
    ("gen", "dim"),
    [
        (mlp.Generator((2, 2, 1), (), 2), 4),
        (mlp.Generator((2, 2, 1), (6,), norm="batch"), 4),
        (dcgan.Generator(28, 1, 2, classes=2), 4),
        (sngan.Generator(32, 1, 2, spectral=True), 4),
        (wgan_gp.Generator(28, 1, 2, classes=2), 4),
        (r3gan.Generator(8, 1, (4, 4), (1, 1), (1, 1), classes=2), 4),
        (STYLE, 6),
    ],
    ids=["linear", "mlp", "dcgan", "sngan", "wgan_gp", "r3gan", "stylegan2"],
)
def test_directions_of_each_network(gen, dim):
    config, variables = random_generator(gen, getattr(gen, "z_dim", dim))
    space = latent_space.make_latent_space(config, variables)
    for method in ("pca", "sefa"):
        result = directions.find_directions(config, variables, space, method, 3, KEY)
        np.testing.assert_allclose(np.linalg.norm(result.vectors, axis=1), 1, rtol=1e-6)
        assert result.vectors.shape == (3, dim)
        assert (np.diff(result.strengths) <= 0).all()
        assert (result.scales > 0).all()
    # The last directions are those of SeFa, which are orthogonal.
    np.testing.assert_allclose(result.vectors @ result.vectors.T, np.eye(3), atol=1e-6)
    for count in (0, dim + 1):
        with pytest.raises(UserError, match=f"count must be from 1 to {dim} .* got {count}"):
            directions.find_directions(config, variables, space, "sefa", count, KEY)


def test_networks_and_methods_without_directions_are_rejected():
    config, variables = random_generator(STYLE, STYLE.z_dim)
    space = latent_space.make_latent_space(config, variables, "z")
    with pytest.raises(UserError, match="got stylegan2 in Z"):
        directions.find_directions(config, variables, space, "pca", 2, KEY)
    with pytest.raises(UserError, match="must be pca or sefa, got 'ica'"):
        directions.find_directions(
            config, variables, latent_space.make_latent_space(config, variables), "ica", 2, KEY
        )
