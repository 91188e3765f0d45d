"""Scores while training: their program against the host's metrics, and the rows of runs."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.config import ImageData, Logging, Penalties, PointData, population
from gan_jax.core import devices as core_devices
from gan_jax.core import keys
from gan_jax.core.errors import UserError
from gan_jax.data import sources
from gan_jax.data.batch import Batch
from gan_jax.data.images import pixels
from gan_jax.data.sources import MIXTURES, Dataset
from gan_jax.inference import sampling
from gan_jax.metrics import frechet, modes
from gan_jax.metrics.evaluation import image, in_training, in_training_log, streaming
from gan_jax.metrics.features import select
from gan_jax.metrics.features.extractor import Extractor
from gan_jax.networks import mlp
from gan_jax.reporting import record
from gan_jax.runs import metrics_log
from gan_jax.training import population_state
from gan_jax.training.initialize import initialize
from gan_jax.training.state import generator_variables
from tests.helpers import small

pytestmark = pytest.mark.integration

ONE = jax.local_devices()[:1]
PICTURES = small.config(disc=mlp.Discriminator(widths=(12,)), penalties=Penalties(), n_critic=1)
POINTS = PICTURES.replace(
    gen=mlp.Generator(shape=(2,), widths=(8,), out="linear"),
    data=PointData("ring"),
    loss="non_saturating",
)
LOGGING = Logging(log_every=3, score_every=4, sample_every=10, checkpoint_every=3)
SEEDS = {"solo": (), "population": (3, 5, 1)}


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """Statistics of real data go to a folder of the test."""
    monkeypatch.setenv("GAN_JAX_CACHE", str(tmp_path / "cache"))


def of_members(config, state):
    """Each member's generator variables."""
    number = range(len(population.member_configs(config)))
    return [generator_variables(population_state.member_run(config, state, i)[1]) for i in number]


def with_members(config, state, change):
    """The state with `change`, of numpy arrays, made to the last member's generator."""

    def last(leaf):
        leaf = np.array(leaf)
        part = leaf[-1:] if population.is_population(config) else leaf
        part[...] = change(part)
        return jnp.asarray(leaf)

    return state.replace(ema=jax.tree.map(last, state.ema))


@pytest.fixture(scope="module", params=SEEDS.values(), ids=SEEDS)
def points(request):
    """Config, state, and how to score it."""
    config = POINTS.replace(seeds=request.param)
    dataset = sources.load(config.data)
    state = initialize(config, dataset, ONE)
    return config, state, *in_training.make_scorer(config, dataset, ONE[0])


@pytest.mark.parametrize("name", MIXTURES)
def test_modes_are_counted_as_by_numpy(name):
    """Of the mixture itself; of points at all distances from a mode; and those at its border."""
    centres, sigma = MIXTURES[name][0](), MIXTURES[name][1]
    random, n = np.random.default_rng(0), 2500
    place = centres[random.integers(len(centres), size=n)]
    angle = random.uniform(0, 2 * np.pi, n)
    around = np.stack([np.cos(angle), np.sin(angle)], 1)
    close = 1 + random.normal(size=(n, 1)) * 10 ** random.uniform(-9, -2, (n, 1))
    sets = [
        place + sigma * random.normal(size=(n, 2)),
        place + 3 * sigma * around * random.uniform(0, 2, (n, 1)),
        random.normal(size=(n, 2)) * 3,
        place + 3 * sigma * around * close,
    ]
    count = jax.jit(jax.vmap(lambda one: streaming.count_modes(one[None], centres, sigma)))
    certain = []
    for points in np.float32(sets):
        found = jax.device_get(count(points))
        distance = np.linalg.norm(np.float64(points)[:, None] - centres[None], axis=-1)
        nearest = distance.argmin(1)[:, None] == np.arange(len(centres))
        good = nearest & (distance <= 3 * sigma)
        sure = found.certain
        np.testing.assert_array_equal(found.nearest[sure], nearest[sure])
        np.testing.assert_array_equal(found.good[sure], good[sure])
        certain.append(sure.mean())
    assert min(certain[:3]) > 0.999
    # A third of their distances are closer to the border than float32 tells.
    assert 0.3 < certain[3] < 0.9


def test_ties_and_what_is_not_finite_are_not_certain():
    centres, sigma = MIXTURES["ring"][0](), MIXTURES["ring"][1]
    points = np.array([[0, 0], [np.nan, 1], [np.inf, 0], [1, 0]], np.float32)[:, None]
    count = jax.jit(jax.vmap(lambda one: streaming.count_modes(one, centres, sigma).certain))
    with jax.debug_nans(False):
        assert np.asarray(count(points)).tolist() == [False, False, False, True]


def test_scores_of_points_are_those_of_their_samples(points):
    """Of good samples, of equal ones that lie between modes, and of some that are not finite."""
    config, state, protocol, score = points
    centres, sigma = MIXTURES["ring"][0](), MIXTURES["ring"][1]
    equal = with_members(config, state, lambda leaf: 0 * leaf)
    assert (protocol["n_fake"], protocol["metrics"]) == (2500, [*modes.Modes._fields])
    for one in (state, equal):
        found = score(one)
        for i, (member, variables) in enumerate(
            zip(population.member_configs(config), of_members(config, one), strict=True)
        ):
            made = sampling.sample(config, variables, keys.sample_key(member.seed), 2500)
            values = tuple(float(found[name][i]) for name in modes.Modes._fields)
            assert values == modes.modes(made, centres, sigma)
    with jax.debug_nans(False):
        found = score(with_members(config, state, lambda leaf: leaf * np.float32(np.nan)))
    for values in found.values():
        assert np.isnan(values).tolist() == [False] * (len(values) - 1) + [True]


def test_scoring_compiles_once_and_takes_a_state_on_any_devices(points, monkeypatch):
    _, state, _, score = points
    once = score(state)

    def traced(*_):
        raise AssertionError("it was traced again")

    monkeypatch.setattr(streaming, "generate", traced)
    for devices in (ONE, jax.local_devices()[:4]):
        again = score(core_devices.replicate(state, devices))
        assert {name: values.tobytes() for name, values in again.items()} == {
            name: values.tobytes() for name, values in once.items()
        }
    assert not state.key.is_deleted()


@pytest.mark.parametrize("symmetric", [False, True])
def test_to_pixels_is_that_of_plots(symmetric):
    x = np.random.default_rng(0).normal(size=(50, 8, 8, 1)).astype(np.float32)
    found = streaming.to_pixels(jnp.asarray(x), symmetric=symmetric)
    np.testing.assert_array_equal(found, pixels.to_pixels(x, symmetric=symmetric), strict=True)


def features_with_head():
    """Ten features of an 8x8 picture and logits of five classes, all made up."""
    random = np.random.default_rng(0)
    kernel = random.normal(size=(64, 10)).astype(np.float32)
    head = random.normal(size=(10, 5)).astype(np.float32), np.arange(5, dtype=np.float32)

    def function(variables, images):
        flat = images.reshape(len(images), -1).astype(jnp.float32) / 255
        return jnp.tanh(flat @ variables) + 1

    return Extractor("made-up", "0" * 64, "none", function, kernel, head)


@pytest.mark.parametrize("seeds", SEEDS.values(), ids=SEEDS)
def test_scores_of_pictures_are_those_of_their_features(seeds):
    config = PICTURES.replace(seeds=seeds)
    real = sources.load(config.data).batch.real[:300]  # not a whole number of batches
    dataset, features = Dataset(Batch(real), "f" * 64), features_with_head()
    state = initialize(config, dataset, ONE)
    protocol, score = in_training.make_scorer(config, dataset, ONE[0], features, quiet=True)
    found = score(state)
    assert list(found) == protocol["metrics"] == ["frechet", "classifier_score"]
    assert (protocol["n_real"], protocol["n_fake"]) == (300, 300)
    ours = frechet.moments(features(real))
    members = zip(population.member_configs(config), of_members(config, state), strict=True)
    for i, (member, variables) in enumerate(members):
        made = sampling.sample(config, variables, keys.sample_key(member.seed), 300)
        seen = features(pixels.to_pixels(made, symmetric=False))
        distance = frechet.frechet_distance(ours, frechet.moments(seen))
        score_of_logits = image.score_logits(features.logits(seen))["classifier_score"].value
        # Sums of 300 in float32; and rounding may move a pixel by one of 256 levels.
        assert found["frechet"][i] == pytest.approx(distance, rel=2e-5)
        assert found["classifier_score"][i] == pytest.approx(score_of_logits, rel=1e-5)
    with jax.debug_nans(False):
        lost = score(with_members(config, state, lambda leaf: leaf * np.float32(np.nan)))
    assert np.isnan(lost["frechet"]).tolist() == [False] * (len(found["frechet"]) - 1) + [True]


def test_features_are_the_classifier_of_the_data_or_else_pixels(monkeypatch, caplog):
    assert (
        select.select_training_features(ImageData("folder", path="nowhere"), (28, 28, 1)).name
        == "pixels"
    )
    coarse = select.select_training_features(ImageData("folder", path="nowhere"), (32, 64, 3))
    assert (coarse.name, coarse.resize) == ("pixels-16x16", "linear, 16x16")
    grey = np.full((2, 32, 64, 3), 51, np.uint8)
    np.testing.assert_allclose(coarse(grey), np.full((2, 768), 0.2), rtol=1e-6)  # float32
    own = features_with_head()
    monkeypatch.setattr(select, "select_features", lambda *_, **__: own)
    assert select.select_training_features(ImageData("digits"), (8, 8, 1)) is own

    def refuse(*_, **__):
        raise UserError("no split 'train'")

    monkeypatch.setattr(select, "select_features", refuse)
    assert select.select_training_features(ImageData("digits"), (8, 8, 1)).name == "pixels"
    assert "digits has no classifier: no split 'train'" in caplog.text


def test_rows_of_a_run_that_was_stopped_are_those_of_one_that_was_not(tmp_path):
    config = POINTS.replace(seeds=(3, 5, 1))

    def fit(folder, steps):
        return small.fit(config.replace(steps=steps), tmp_path / folder, logging=LOGGING)

    state = fit("whole", 8)
    whole = (tmp_path / "whole" / in_training_log.ROWS).read_bytes()
    found = metrics_log.read_metrics(tmp_path / "whole", in_training_log.ROWS)
    assert list(found) == ["step", *modes.Modes._fields]
    assert found["step"].tolist() == [4, 8]
    _, score = in_training.make_scorer(config, sources.load(config.data), ONE[0])
    for name, values in score(state).items():  # the state of step 8
        np.testing.assert_array_equal(found[name][-1], values)
    protocol = in_training_log.read_card(tmp_path / "whole")
    assert (protocol["seeds"], protocol["weights"]) == ([3, 5, 1], "ema")
    fit("cut", 5)
    with (tmp_path / "cut" / in_training_log.ROWS).open(
        "a"
    ) as file:  # written after the last checkpoint
        file.write(whole.decode().splitlines(keepends=True)[1] + '{"step": 12, "cov')
    fit("cut", 8)
    for name in (in_training_log.ROWS, in_training_log.CARD):
        ours, theirs = ((tmp_path / of / name).read_bytes() for of in ("whole", "cut"))
        assert ours == theirs
    card_there = tmp_path / "cut" / in_training_log.CARD
    card_there.write_text(card_there.read_text().replace("2500", "2600"))
    with pytest.raises(UserError, match=r"scores\.jsonl has scores with another n_fake: "):
        fit("cut", 9)


def test_scores_do_not_change_the_run_and_are_on_record(tmp_path):
    folders = [tmp_path / "scored", tmp_path / "plain"]
    for folder, every in zip(folders, (1, 0), strict=True):
        small.fit(POINTS, folder, logging=Logging(log_every=1, score_every=every))
    ours, theirs = ((folder / "metrics.jsonl").read_bytes() for folder in folders)
    assert ours == theirs
    assert not list(folders[1].glob("scores*"))
    entries = [
        json.loads(record.write_record([folder], [[{"kl": 1.0}]], folder / "out").read_text())
        for folder in folders
    ]
    assert "score_curve" not in entries[1]
    kept = entries[0]["score_curve"]
    assert kept["step"] == list(range(1, 13))
    rows = metrics_log.read_metrics(folders[0], in_training_log.ROWS)
    assert rows["kl"].shape == (12,)
    np.testing.assert_allclose(kept["kl"], rows["kl"], rtol=5e-6)  # six digits
    assert (kept["protocol"]["features"], kept["protocol"]["n_fake"]) == ("points", 2500)
    assert not kept["protocol"].keys() & set(record.MEMBER_FIELDS)


def test_data_without_a_metric_is_refused_before_there_is_a_folder(tmp_path):
    path = tmp_path / "points.npz"
    np.savez(path, real=np.zeros((50, 2), np.float32))
    config = POINTS.replace(data=ImageData("npz", path=str(path)))
    with pytest.raises(UserError, match="there is no metric for data 'npz'"):
        small.fit(config, tmp_path / "run", logging=LOGGING)
    assert not (tmp_path / "run").exists()
