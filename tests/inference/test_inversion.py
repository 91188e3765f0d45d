"""Inversion of linear generators against least squares, with masks, labels and priors."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from jax.tree_util import Partial

from gan_jax.core import keys
from gan_jax.core.errors import UserError
from gan_jax.inference import inversion, latent_space
from gan_jax.inference.inversion import Search, invert
from gan_jax.inference.latent_space import LatentSpace
from gan_jax.inference.nearest import nearest_samples
from gan_jax.metrics.features import extractor, perceptual
from gan_jax.networks import mlp, stylegan2
from tests.helpers import small

KEY = keys.root_key(3)
D = 4
# Orthogonal columns, so that least squares is well posed, also for the known pixels only.
A = np.linalg.qr(np.random.default_rng(0).standard_normal((12, D)))[0].astype(np.float32) / 4
SEARCH = Search(steps=400, restarts=2, samples=50, prior=0.0, batch=2)


def sample_latents(distribution, example_keys, _):
    return keys.latents(example_keys, D, distribution)


def linear(shift, z, cond):
    """Linear generator around 1/2, shifted by `shift` times the class."""
    x = z @ A.T
    if cond is not None:
        x += jnp.broadcast_to((shift * cond)[:, None], x.shape)
    return 0.5 + x.reshape(-1, 2, 3, 2)


SPACES = {
    distribution: LatentSpace(
        Partial(functools.partial(linear, 0)),
        Partial(functools.partial(sample_latents, distribution)),
        distribution,
    )
    for distribution in ("normal", "uniform")
}
CLASSES = LatentSpace(
    Partial(functools.partial(linear, 0.15)),
    Partial(functools.partial(sample_latents, "normal")),
    "normal",
    3,
)


def latents_and_images(n, latent_std=0.4, noise_std=0.0):
    """Latents [n, D] and their images [n, 2, 3, 2], plus noise that no latents can generate."""
    random = np.random.default_rng(1)
    z = latent_std * random.standard_normal((n, D))
    noise = noise_std * random.standard_normal((n, 12))
    images = 0.5 + z @ A.T + noise - noise @ A @ A.T * 16
    return z.astype(np.float32), images.reshape(n, 2, 3, 2).astype(np.float32)


@pytest.mark.parametrize("noise_std", [0.0, 0.02])
def test_a_linear_generator_is_inverted_as_by_least_squares(noise_std):
    z, target = latents_and_images(3, noise_std=noise_std)
    result = invert(SPACES["normal"], target, KEY, SEARCH)
    # Under a cosine schedule to 0, the last steps of Adam are at most 1e-4.
    np.testing.assert_allclose(result.latents, z, atol=1e-4)
    images = 0.5 + z @ A.T
    np.testing.assert_allclose(result.images.reshape(3, -1), images, atol=1e-4)
    expected = np.square(images - target.reshape(3, -1)).mean(1)
    np.testing.assert_allclose(result.errors, expected, atol=1e-8)  # 1e-4 squared
    assert result.labels is None


def test_uniform_latents_stay_in_their_cube():
    z, target = latents_and_images(3, latent_std=1.5)
    result = invert(SPACES["uniform"], target, KEY, SEARCH)
    assert (np.abs(z) > 1).any()
    # The columns are orthogonal, so clipping one latent dimension does not move the others.
    np.testing.assert_allclose(result.latents, np.clip(z, -1, 1), atol=1e-4)
    assert np.abs(result.latents).max() == 1


def test_the_prior_is_the_chi_distribution_and_moves_latents_to_the_shell():
    z = jnp.asarray(np.random.default_rng(0).standard_normal((5, 9)) * 2, jnp.float32)
    length, shell = np.linalg.norm(z, axis=1), np.sqrt(8)
    expected = (scipy.stats.chi(9).logpdf(shell) - scipy.stats.chi(9).logpdf(length)) / 9
    prior = jax.jit(inversion.latent_prior, static_argnums=1)
    np.testing.assert_allclose(prior(z, "normal"), expected, rtol=1e-5, atol=1e-7)
    assert not inversion.latent_prior(z, "uniform").any()
    target = latents_and_images(2)[1]
    constant_space = SPACES["normal"]._replace(
        generate=Partial(lambda z, _: 0 * linear(0, z, None))
    )
    result = invert(constant_space, target, KEY, Search(300, 0.05, 1, 10, prior=1.0, batch=2))
    np.testing.assert_allclose(np.linalg.norm(result.latents, axis=1), np.sqrt(D - 1), rtol=1e-3)


def test_an_image_does_not_depend_on_the_others_and_one_program_inverts_all():
    target = latents_and_images(5)[1]
    all_five = invert(SPACES["normal"], target, KEY, SEARCH)
    programs = inversion._descend._cache_size()
    for indices in ([3], [4, 1], [2, 0, 3, 4]):
        subset = invert(SPACES["normal"], target[indices], KEY, SEARCH)
        for actual, expected in zip(subset[:3], all_five[:3], strict=True):
            np.testing.assert_array_equal(actual, expected[indices])
    assert inversion._descend._cache_size() == programs
    other_key = invert(SPACES["normal"], target, keys.root_key(4), SEARCH)
    assert (other_key.latents != all_five.latents).any()


def test_known_pixels_are_kept_and_masked_pixels_are_ignored():
    z, target = latents_and_images(3)
    mask = np.zeros((3, 2, 3, 1), bool)
    mask[:, 1, 1:] = True  # 4 of 12 values are masked
    result = invert(SPACES["normal"], target, KEY, SEARCH, mask=mask)
    masked = np.broadcast_to(mask, target.shape)
    np.testing.assert_array_equal(result.images[~masked], target[~masked])
    # Worse conditioned than without a mask.
    np.testing.assert_allclose(result.latents, z, atol=2e-3)
    np.testing.assert_allclose(result.images, target, atol=5e-4)
    other = np.where(masked, np.float32(0.9), target)
    term = perceptual.perceptual(extractor.pixels(), 0.1)
    for loss_term in (None, term):
        actual, expected = (
            invert(SPACES["normal"], images, KEY, SEARCH, mask=mask, term=loss_term)
            for images in (target, other)
        )
        for actual_field, expected_field in zip(actual[:3], expected[:3], strict=True):
            np.testing.assert_array_equal(actual_field, expected_field)


def test_the_perceptual_term_is_added_to_the_errors():
    target = latents_and_images(3, noise_std=0.02)[1]
    term = perceptual.perceptual(extractor.pixels(), 0.5)
    result = invert(SPACES["normal"], target, KEY, SEARCH, term=term)
    change = np.square(result.images - target).reshape(3, -1).sum(1)
    size = np.square(target).reshape(3, -1).sum(1)
    np.testing.assert_allclose(result.errors, change / 12 + 0.5 * change / size, rtol=1e-4)


def test_labels_are_respected_or_inferred():
    z = latents_and_images(3)[0]
    labels = np.array([2, 0, 1], np.int32)
    target = (0.5 + z @ A.T + 0.15 * labels[:, None]).astype(np.float32).reshape(3, 2, 3, 2)
    inferred = invert(CLASSES, target, KEY, SEARCH)
    np.testing.assert_array_equal(inferred.labels, labels)
    conditioned = invert(CLASSES, target, KEY, SEARCH, cond=labels)
    np.testing.assert_array_equal(inferred.latents, conditioned.latents)
    np.testing.assert_allclose(conditioned.latents, z, atol=1e-4)
    mislabeled = invert(CLASSES, target, KEY, SEARCH, cond=np.roll(labels, 1))
    assert (mislabeled.errors > 1e-3).all()
    assert mislabeled.labels.tolist() == [1, 2, 0]


@functools.cache
def normal_latents(n):
    return np.asarray(keys.latents(keys.example_keys(KEY, n), D, "normal"))


@pytest.mark.parametrize("samples", [1, 128, 200])
@pytest.mark.parametrize("masked", [False, True])
def test_nearest_samples_have_the_smallest_errors(samples, masked):
    target = latents_and_images(5)[1]
    mask = np.arange(6).reshape(1, 2, 3, 1) < (2 if masked else 0)
    mask = np.repeat(mask, 5, 0)
    count = min(samples, 3)
    errors, index = nearest_samples(
        SPACES["normal"], target, KEY, samples, count, mask=mask, batch=2
    )
    images = normal_latents(200)[:samples] @ A.T + 0.5
    known = np.broadcast_to(~mask, target.shape).reshape(5, 1, -1)
    squared_differences = np.square(
        target.reshape(5, 1, -1) - np.asarray(images).reshape(1, samples, -1)
    )
    expected = (squared_differences * known).sum(2) / known.sum(2)
    np.testing.assert_array_equal(index, expected.argsort(1)[:, :count])
    # Computed from inner products of images with mean square 1/4.
    np.testing.assert_allclose(errors, np.sort(expected, 1)[:, :count], atol=1e-6)


def test_the_w_space_starts_at_the_mapped_latents():
    gen = stylegan2.Generator(8, 1, channel_max=4, latent=5, w_dim=6, mapping_layers=1, classes=3)
    config = small.config(gen=gen, z_dim=gen.z_dim)
    z = keys.latents(keys.example_keys(KEY, 2), gen.z_dim, "normal").at[:, 5:].set(0)
    cond = jnp.array([2, 0])
    shapes = jax.eval_shape(lambda: gen.init(KEY, z, cond, train=False))
    random = np.random.default_rng(0)
    variables = jax.tree.map(lambda leaf: jnp.float32(random.standard_normal(leaf.shape)), shapes)
    variables = {**variables, "moments": {"w_mean": jnp.arange(6.0)}}
    space = latent_space.make_latent_space(config, variables)
    assert (space.distribution, space.classes) == ("w", 3)
    assert space.mean.tolist() == [0, 1, 2, 3, 4, 5]
    z_space = latent_space.make_latent_space(config, variables, "z")

    @jax.jit
    def synthesize_both(space, z_space):
        w = latent_space.map_w(gen, variables, z[:, :5], cond)
        return space(w, cond), z_space(z, cond)

    from_w, from_z = synthesize_both(space.generate, z_space.generate)
    # Subtracting and adding the mean w rounds; images are of order one.
    np.testing.assert_allclose(from_w, from_z, atol=1e-5)
    assert np.std(from_w) > 0.01


def test_missing_latent_spaces_are_rejected():
    config = small.config(gen=mlp.Generator((2,), (3,)))
    variables = jax.tree.map(
        lambda leaf: jnp.zeros(leaf.shape),
        jax.eval_shape(lambda: config.gen.init(KEY, jnp.zeros((1, 8)), train=False)),
    )
    with pytest.raises(UserError, match=r"must generate images, got examples of shape \[2\]"):
        latent_space.make_latent_space(config, variables)
    with pytest.raises(UserError, match=r"'z' for mlp\.Generator .*got 'w'"):
        latent_space.make_latent_space(config, variables, "w")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"target": np.zeros((2, 3, 2, 2), np.float32)},
            "[n, 2, 3, 2], got [2, 3, 2, 2]",
        ),
        ({"target": np.zeros((0, 2, 3, 2), np.float32)}, "got [0, 2, 3, 2]"),
        ({"target": np.zeros((1, 2, 3, 2), np.uint8)}, "must be float32 from 0 to 1, got uint8"),
        ({"target": np.full((1, 2, 3, 2), np.nan, np.float32)}, "must be from 0 to 1, got nan"),
        ({"mask": np.ones((1, 2, 3, 1), bool)}, "got all of image 0"),
        (
            {"mask": np.zeros((1, 2, 3), bool)},
            "got bool [1, 2, 3]",
        ),
        ({"cond": np.zeros(1, np.int32)}, "not conditioned on classes"),
        ({"space": CLASSES, "cond": np.array([3])}, "from 0 to 2, got 3 to 3"),
        ({"space": CLASSES, "cond": np.zeros(2, int)}, "1 integers, got int64 [2]"),
    ],
    ids=range(9),
)
def test_bad_input_is_rejected(changes, message):
    arguments = {"space": SPACES["normal"], "target": np.full((1, 2, 3, 2), 0.5, np.float32)}
    with pytest.raises(UserError) as error:
        invert(key=KEY, search=SEARCH, **(arguments | changes))
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("field", "value"),
    [("steps", 0), ("restarts", 0), ("samples", 3), ("lr", 0.0), ("lr", np.nan), ("prior", -1.0)],
)
def test_bad_search_settings_are_rejected(field, value):
    with pytest.raises(UserError, match=f"({field}|restarts) must be .*got"):
        Search(**{field: value})
