"""Inversion: linear generators, where least squares knows the answer; holes, labels, the others."""

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
# Columns at right angles, so that least squares is well posed, of the known pixels alone too.
A = np.linalg.qr(np.random.default_rng(0).standard_normal((12, D)))[0].astype(np.float32) / 4
SEARCH = Search(steps=400, restarts=2, samples=50, prior=0.0, batch=2)


def draw(law, own, _):
    return keys.latents(own, D, law)


def linear(shift, z, cond):
    """Of class c, mirrored in 1/2 and shifted."""
    x = z @ A.T
    if cond is not None:
        x += jnp.broadcast_to((shift * cond)[:, None], x.shape)
    return 0.5 + x.reshape(-1, 2, 3, 2)


SPACES = {
    law: LatentSpace(
        Partial(functools.partial(linear, 0)), Partial(functools.partial(draw, law)), law
    )
    for law in ("normal", "uniform")
}
CLASSES = LatentSpace(
    Partial(functools.partial(linear, 0.15)),
    Partial(functools.partial(draw, "normal")),
    "normal",
    3,
)


def pictures(n, size=0.4, off=0.0):
    """z [n, D], and pictures [n, 2, 3, 2] that are theirs but for what no z can make."""
    random = np.random.default_rng(1)
    z = size * random.standard_normal((n, D))
    rest = off * random.standard_normal((n, 12))
    x = 0.5 + z @ A.T + rest - rest @ A @ A.T * 16
    return z.astype(np.float32), x.reshape(n, 2, 3, 2).astype(np.float32)


@pytest.mark.parametrize("off", [0.0, 0.02])
def test_linear_generator_as_least_squares(off):
    z, target = pictures(3, off=off)
    found = invert(SPACES["normal"], target, KEY, SEARCH)
    # Adam's last steps, under a cosine to 0, are of 1e-4 and less.
    np.testing.assert_allclose(found.latents, z, atol=1e-4)
    x = 0.5 + z @ A.T
    np.testing.assert_allclose(found.images.reshape(3, -1), x, atol=1e-4)
    expected = np.square(x - target.reshape(3, -1)).mean(1)
    np.testing.assert_allclose(found.errors, expected, atol=1e-8)  # 1e-4 squared
    assert found.labels is None


def test_uniform_latents_stay_in_their_cube():
    z, target = pictures(3, size=1.5)
    found = invert(SPACES["uniform"], target, KEY, SEARCH)
    assert (np.abs(z) > 1).any()
    # At right angles each number of z is on its own, and the bound does not move the others.
    np.testing.assert_allclose(found.latents, np.clip(z, -1, 1), atol=1e-4)
    assert np.abs(found.latents).max() == 1


def test_prior_is_the_chi_law_and_moves_lengths_to_the_shell():
    z = jnp.asarray(np.random.default_rng(0).standard_normal((5, 9)) * 2, jnp.float32)
    length, shell = np.linalg.norm(z, axis=1), np.sqrt(8)
    expected = (scipy.stats.chi(9).logpdf(shell) - scipy.stats.chi(9).logpdf(length)) / 9
    prior = jax.jit(inversion.latent_prior, static_argnums=1)
    np.testing.assert_allclose(prior(z, "normal"), expected, rtol=1e-5, atol=1e-7)
    assert not inversion.latent_prior(z, "uniform").any()
    target = pictures(2)[1]
    blind = SPACES["normal"]._replace(generate=Partial(lambda z, _: 0 * linear(0, z, None)))
    found = invert(blind, target, KEY, Search(300, 0.05, 1, 10, prior=1.0, batch=2))
    np.testing.assert_allclose(np.linalg.norm(found.latents, axis=1), np.sqrt(D - 1), rtol=1e-3)


def test_a_picture_does_not_depend_on_the_others_and_one_program_does():
    target = pictures(5)[1]
    all_five = invert(SPACES["normal"], target, KEY, SEARCH)
    programs = inversion._descend._cache_size()
    for part in ([3], [4, 1], [2, 0, 3, 4]):
        some = invert(SPACES["normal"], target[part], KEY, SEARCH)
        for ours, theirs in zip(some[:3], all_five[:3], strict=True):
            np.testing.assert_array_equal(ours, theirs[part])
    assert inversion._descend._cache_size() == programs
    other = invert(SPACES["normal"], target, keys.root_key(4), SEARCH)
    assert (other.latents != all_five.latents).any()


def test_under_a_mask_known_pixels_stay_and_the_hole_is_ignored():
    z, target = pictures(3)
    mask = np.zeros((3, 2, 3, 1), bool)
    mask[:, 1, 1:] = True  # 4 of 12 numbers are unknown
    found = invert(SPACES["normal"], target, KEY, SEARCH, mask=mask)
    wide = np.broadcast_to(mask, target.shape)
    np.testing.assert_array_equal(found.images[~wide], target[~wide])
    np.testing.assert_allclose(found.latents, z, atol=2e-3)  # worse posed than the whole
    np.testing.assert_allclose(found.images, target, atol=5e-4)
    other = np.where(wide, np.float32(0.9), target)
    term = perceptual.perceptual(extractor.pixels(), 0.1)
    for extra in (None, term):
        ours, theirs = (
            invert(SPACES["normal"], x, KEY, SEARCH, mask=mask, term=extra) for x in (target, other)
        )
        for one, two in zip(ours[:3], theirs[:3], strict=True):
            np.testing.assert_array_equal(one, two)


def test_perceptual_term():
    target = pictures(3, off=0.02)[1]
    term = perceptual.perceptual(extractor.pixels(), 0.5)
    found = invert(SPACES["normal"], target, KEY, SEARCH, term=term)
    change = np.square(found.images - target).reshape(3, -1).sum(1)
    size = np.square(target).reshape(3, -1).sum(1)
    np.testing.assert_allclose(found.errors, change / 12 + 0.5 * change / size, rtol=1e-4)


def test_labels_are_obeyed_or_found():
    z = pictures(3)[0]
    labels = np.array([2, 0, 1], np.int32)
    target = (0.5 + z @ A.T + 0.15 * labels[:, None]).astype(np.float32).reshape(3, 2, 3, 2)
    found = invert(CLASSES, target, KEY, SEARCH)
    np.testing.assert_array_equal(found.labels, labels)
    given = invert(CLASSES, target, KEY, SEARCH, cond=labels)
    np.testing.assert_array_equal(found.latents, given.latents)
    np.testing.assert_allclose(given.latents, z, atol=1e-4)
    wrong = invert(CLASSES, target, KEY, SEARCH, cond=np.roll(labels, 1))
    assert (wrong.errors > 1e-3).all()
    assert wrong.labels.tolist() == [1, 2, 0]


@functools.cache
def drawn(n):
    return np.asarray(keys.latents(keys.example_keys(KEY, n), D, "normal"))


@pytest.mark.parametrize("samples", [1, 128, 200])
@pytest.mark.parametrize("masked", [False, True])
def test_nearest_samples(samples, masked):
    target = pictures(5)[1]
    mask = np.arange(6).reshape(1, 2, 3, 1) < (2 if masked else 0)
    mask = np.repeat(mask, 5, 0)
    count = min(samples, 3)
    errors, index = nearest_samples(
        SPACES["normal"], target, KEY, samples, count, mask=mask, batch=2
    )
    made = drawn(200)[:samples] @ A.T + 0.5
    known = np.broadcast_to(~mask, target.shape).reshape(5, 1, -1)
    change = np.square(target.reshape(5, 1, -1) - np.asarray(made).reshape(1, samples, -1))
    expected = (change * known).sum(2) / known.sum(2)
    np.testing.assert_array_equal(index, expected.argsort(1)[:, :count])
    # By inner products of pictures of mean square 1/4.
    np.testing.assert_allclose(errors, np.sort(expected, 1)[:, :count], atol=1e-6)


def test_w_is_what_the_mapping_makes():
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
    plain = latent_space.make_latent_space(config, variables, "z")

    @jax.jit
    def both(space, plain):
        w = latent_space.map_w(gen, variables, z[:, :5], cond)
        return space(w, cond), plain(z, cond)

    made, expected = both(space.generate, plain.generate)
    # w comes as a difference and is added again; pictures are of size 1.
    np.testing.assert_allclose(made, expected, atol=1e-5)
    assert np.std(made) > 0.01


def test_spaces_that_are_not_there():
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
    ("change", "said"),
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
def test_bad_input(change, said):
    asked = {"space": SPACES["normal"], "target": np.full((1, 2, 3, 2), 0.5, np.float32)}
    with pytest.raises(UserError) as error:
        invert(key=KEY, search=SEARCH, **(asked | change))
    assert said in str(error.value)


@pytest.mark.parametrize(
    ("field", "value"),
    [("steps", 0), ("restarts", 0), ("samples", 3), ("lr", 0.0), ("lr", np.nan), ("prior", -1.0)],
)
def test_bad_search(field, value):
    with pytest.raises(UserError, match=f"({field}|restarts) must be .*got"):
        Search(**{field: value})
