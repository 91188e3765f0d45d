"""In-training scores: the compiled program against host metrics, and the rows of runs."""

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

ONE_DEVICE = jax.local_devices()[:1]
IMAGE_CONFIG = small.config(disc=mlp.Discriminator(widths=(12,)), penalties=Penalties(), n_critic=1)
POINT_CONFIG = IMAGE_CONFIG.replace(
    gen=mlp.Generator(shape=(2,), widths=(8,), out="linear"),
    data=PointData("ring"),
    loss="non_saturating",
)
LOGGING = Logging(log_every=3, score_every=4, sample_every=10, checkpoint_every=3)
SEEDS = {"solo": (), "population": (3, 5, 1)}


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """Uses a cache folder per test for statistics of real data."""
    monkeypatch.setenv("GAN_JAX_CACHE", str(tmp_path / "cache"))


def member_variables(config, state):
    """Generator variables of each member."""
    numbers = range(len(population.member_configs(config)))
    return [generator_variables(population_state.member_run(config, state, i)[1]) for i in numbers]


def change_last_member(config, state, change):
    """The state with `change`, a function of NumPy arrays, applied to the last generator."""

    def change_leaf(leaf):
        leaf = np.array(leaf)
        member_leaf = leaf[-1:] if population.is_population(config) else leaf
        member_leaf[...] = change(member_leaf)
        return jnp.asarray(leaf)

    return state.replace(ema=jax.tree.map(change_leaf, state.ema))


@pytest.fixture(scope="module", params=SEEDS.values(), ids=SEEDS)
def point_scorer(request):
    """(config, state, protocol, function that scores a state)."""
    config = POINT_CONFIG.replace(seeds=request.param)
    dataset = sources.load(config.data)
    state = initialize(config, dataset, ONE_DEVICE)
    return config, state, *in_training.make_scorer(config, dataset, ONE_DEVICE[0])


@pytest.mark.parametrize("name", MIXTURES)
def test_modes_are_counted_as_in_numpy(name):
    """Checks mixture samples, points at all distances from a mode and points near its border."""
    centers, sigma = MIXTURES[name][0](), MIXTURES[name][1]
    random, n = np.random.default_rng(0), 2500
    modes_of_points = centers[random.integers(len(centers), size=n)]
    angle = random.uniform(0, 2 * np.pi, n)
    directions = np.stack([np.cos(angle), np.sin(angle)], 1)
    border_distances = 1 + random.normal(size=(n, 1)) * 10 ** random.uniform(-9, -2, (n, 1))
    sets = [
        modes_of_points + sigma * random.normal(size=(n, 2)),
        modes_of_points + 3 * sigma * directions * random.uniform(0, 2, (n, 1)),
        random.normal(size=(n, 2)) * 3,
        modes_of_points + 3 * sigma * directions * border_distances,
    ]
    count = jax.jit(jax.vmap(lambda point: streaming.count_modes(point[None], centers, sigma)))
    certain = []
    for point_scorer in np.float32(sets):
        counted = jax.device_get(count(point_scorer))
        distance = np.linalg.norm(np.float64(point_scorer)[:, None] - centers[None], axis=-1)
        nearest = distance.argmin(1)[:, None] == np.arange(len(centers))
        good = nearest & (distance <= 3 * sigma)
        is_certain = counted.certain
        np.testing.assert_array_equal(counted.nearest[is_certain], nearest[is_certain])
        np.testing.assert_array_equal(counted.good[is_certain], good[is_certain])
        certain.append(is_certain.mean())
    assert min(certain[:3]) > 0.999
    # For a third of them the border is closer than float32 resolves.
    assert 0.3 < certain[3] < 0.9


def test_ties_and_non_finite_points_are_not_certain():
    centers, sigma = MIXTURES["ring"][0](), MIXTURES["ring"][1]
    point_scorer = np.array([[0, 0], [np.nan, 1], [np.inf, 0], [1, 0]], np.float32)[:, None]
    count = jax.jit(jax.vmap(lambda point: streaming.count_modes(point, centers, sigma).certain))
    with jax.debug_nans(False):
        assert np.asarray(count(point_scorer)).tolist() == [False, False, False, True]


def test_scores_of_points_equal_the_host_metrics(point_scorer):
    """Checks good samples, equal samples between modes and samples that are not finite."""
    config, state, protocol, score = point_scorer
    centers, sigma = MIXTURES["ring"][0](), MIXTURES["ring"][1]
    equal = change_last_member(config, state, lambda leaf: 0 * leaf)
    assert (protocol["n_fake"], protocol["metrics"]) == (2500, [*modes.Modes._fields])
    for scored_state in (state, equal):
        scores = score(scored_state)
        for i, (member, variables) in enumerate(
            zip(
                population.member_configs(config),
                member_variables(config, scored_state),
                strict=True,
            )
        ):
            samples = sampling.sample(config, variables, keys.sample_key(member.seed), 2500)
            values = tuple(float(scores[name][i]) for name in modes.Modes._fields)
            assert values == modes.modes(samples, centers, sigma)
    with jax.debug_nans(False):
        scores = score(change_last_member(config, state, lambda leaf: leaf * np.float32(np.nan)))
    for values in scores.values():
        assert np.isnan(values).tolist() == [False] * (len(values) - 1) + [True]


def test_scoring_compiles_once_and_takes_a_state_on_any_devices(point_scorer, monkeypatch):
    _, state, _, score = point_scorer
    first = score(state)

    def fail(*_):
        raise AssertionError("the program was traced again")

    monkeypatch.setattr(streaming, "generate", fail)
    for devices in (ONE_DEVICE, jax.local_devices()[:4]):
        repeated = score(core_devices.replicate(state, devices))
        assert {name: values.tobytes() for name, values in repeated.items()} == {
            name: values.tobytes() for name, values in first.items()
        }
    assert not state.key.is_deleted()


@pytest.mark.parametrize("symmetric", [False, True])
def test_to_pixels_equals_the_host_function(symmetric):
    x = np.random.default_rng(0).normal(size=(50, 8, 8, 1)).astype(np.float32)
    converted = streaming.to_pixels(jnp.asarray(x), symmetric=symmetric)
    np.testing.assert_array_equal(converted, pixels.to_pixels(x, symmetric=symmetric), strict=True)


def features_with_head():
    """Random features [n, 10] of 8x8 images with logits of five classes."""
    random = np.random.default_rng(0)
    kernel = random.normal(size=(64, 10)).astype(np.float32)
    head = random.normal(size=(10, 5)).astype(np.float32), np.arange(5, dtype=np.float32)

    def function(variables, images):
        flat = images.reshape(len(images), -1).astype(jnp.float32) / 255
        return jnp.tanh(flat @ variables) + 1

    return Extractor("made-up", "0" * 64, "none", function, kernel, head)


@pytest.mark.parametrize("seeds", SEEDS.values(), ids=SEEDS)
def test_scores_of_images_equal_the_host_metrics(seeds):
    config = IMAGE_CONFIG.replace(seeds=seeds)
    real = sources.load(config.data).batch.real[:300]  # the last batch is partial
    dataset, features = Dataset(Batch(real), "f" * 64), features_with_head()
    state = initialize(config, dataset, ONE_DEVICE)
    protocol, score = in_training.make_scorer(config, dataset, ONE_DEVICE[0], features, quiet=True)
    scores = score(state)
    assert list(scores) == protocol["metrics"] == ["frechet", "classifier_score"]
    assert (protocol["n_real"], protocol["n_fake"]) == (300, 300)
    real_moments = frechet.moments(features(real))
    members = zip(population.member_configs(config), member_variables(config, state), strict=True)
    for i, (member, variables) in enumerate(members):
        samples = sampling.sample(config, variables, keys.sample_key(member.seed), 300)
        sample_features = features(pixels.to_pixels(samples, symmetric=False))
        distance = frechet.frechet_distance(real_moments, frechet.moments(sample_features))
        score_of_logits = image.score_logits(features.logits(sample_features))[
            "classifier_score"
        ].value
        # Float32 sums of 300 terms, and rounding may move a pixel by one of 256 levels.
        assert scores["frechet"][i] == pytest.approx(distance, rel=2e-5)
        assert scores["classifier_score"][i] == pytest.approx(score_of_logits, rel=1e-5)
    with jax.debug_nans(False):
        diverged = score(change_last_member(config, state, lambda leaf: leaf * np.float32(np.nan)))
    assert np.isnan(diverged["frechet"]).tolist() == [False] * (len(scores["frechet"]) - 1) + [True]


def test_features_are_those_of_the_classifier_of_the_data_or_else_pixels(monkeypatch, caplog):
    assert (
        select.select_training_features(ImageData("folder", path="nowhere"), (28, 28, 1)).name
        == "pixels"
    )
    coarse = select.select_training_features(ImageData("folder", path="nowhere"), (32, 64, 3))
    assert (coarse.name, coarse.resize) == ("pixels-16x16", "linear, 16x16")
    gray = np.full((2, 32, 64, 3), 51, np.uint8)
    np.testing.assert_allclose(coarse(gray), np.full((2, 768), 0.2), rtol=1e-6)  # float32
    classifier_features = features_with_head()
    monkeypatch.setattr(select, "select_features", lambda *_, **__: classifier_features)
    assert select.select_training_features(ImageData("digits"), (8, 8, 1)) is classifier_features

    def refuse(*_, **__):
        raise UserError("no split 'train'")

    monkeypatch.setattr(select, "select_features", refuse)
    assert select.select_training_features(ImageData("digits"), (8, 8, 1)).name == "pixels"
    assert "digits has no classifier: no split 'train'" in caplog.text


def test_a_resumed_run_has_the_same_rows_of_scores(tmp_path):
    config = POINT_CONFIG.replace(seeds=(3, 5, 1))

    def fit(folder, steps):
        return small.fit(config.replace(steps=steps), tmp_path / folder, logging=LOGGING)

    state = fit("whole", 8)
    expected = (tmp_path / "whole" / in_training_log.ROWS).read_bytes()
    rows = metrics_log.read_metrics(tmp_path / "whole", in_training_log.ROWS)
    assert list(rows) == ["step", *modes.Modes._fields]
    assert rows["step"].tolist() == [4, 8]
    _, score = in_training.make_scorer(config, sources.load(config.data), ONE_DEVICE[0])
    for name, values in score(state).items():  # the state at step 8
        np.testing.assert_array_equal(rows[name][-1], values)
    protocol = in_training_log.read_card(tmp_path / "whole")
    assert (protocol["seeds"], protocol["weights"]) == ([3, 5, 1], "ema")
    fit("cut", 5)
    with (tmp_path / "cut" / in_training_log.ROWS).open(
        "a"
    ) as file:  # written after the last checkpoint
        file.write(expected.decode().splitlines(keepends=True)[1] + '{"step": 12, "cov')
    fit("cut", 8)
    for name in (in_training_log.ROWS, in_training_log.CARD):
        uninterrupted, resumed = (
            (tmp_path / workdir / name).read_bytes() for workdir in ("whole", "cut")
        )
        assert uninterrupted == resumed
    card = tmp_path / "cut" / in_training_log.CARD
    card.write_text(card.read_text().replace("2500", "2600"))
    with pytest.raises(UserError, match=r"scores\.jsonl has scores with another n_fake: "):
        fit("cut", 9)


def test_scores_do_not_change_the_run_and_are_recorded(tmp_path):
    folders = [tmp_path / "scored", tmp_path / "plain"]
    for folder, score_every in zip(folders, (1, 0), strict=True):
        small.fit(POINT_CONFIG, folder, logging=Logging(log_every=1, score_every=score_every))
    scored, plain = ((folder / "metrics.jsonl").read_bytes() for folder in folders)
    assert scored == plain
    assert not list(folders[1].glob("scores*"))
    entries = [
        json.loads(record.write_record([folder], [[{"kl": 1.0}]], folder / "out").read_text())
        for folder in folders
    ]
    assert "score_curve" not in entries[1]
    score_curve = entries[0]["score_curve"]
    assert score_curve["step"] == list(range(1, 13))
    rows = metrics_log.read_metrics(folders[0], in_training_log.ROWS)
    assert rows["kl"].shape == (12,)
    np.testing.assert_allclose(score_curve["kl"], rows["kl"], rtol=5e-6)  # six digits
    assert (score_curve["protocol"]["features"], score_curve["protocol"]["n_fake"]) == (
        "points",
        2500,
    )
    assert not score_curve["protocol"].keys() & set(record.MEMBER_FIELDS)


def test_data_without_a_metric_are_rejected_before_a_run_folder_exists(tmp_path):
    path = tmp_path / "points.npz"
    np.savez(path, real=np.zeros((50, 2), np.float32))
    config = POINT_CONFIG.replace(data=ImageData("npz", path=str(path)))
    with pytest.raises(UserError, match="there is no metric for data 'npz'"):
        small.fit(config, tmp_path / "run", logging=LOGGING)
    assert not (tmp_path / "run").exists()
