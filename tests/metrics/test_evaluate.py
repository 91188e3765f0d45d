"""Evaluation of runs and of image folders, and the score cards it writes."""

import dataclasses
import itertools
import json
import shutil

import jax
import numpy as np
import pytest
from PIL import Image

from gan_jax.cli import app
from gan_jax.config import AudioData, ImageData, Penalties, PointData, TextData, schema
from gan_jax.core import keys
from gan_jax.core.errors import UserError
from gan_jax.data import sources
from gan_jax.data.batch import Batch
from gan_jax.data.images import pixels
from gan_jax.inference import sampling
from gan_jax.metrics import frechet, manifold, modes
from gan_jax.metrics.evaluation import (
    evaluate,
    evaluators,
    feature_statistics,
    members,
    reference_statistics,
)
from gan_jax.metrics.evaluation.evaluator import Evaluation, Settings
from gan_jax.metrics.features import classifier, extractor
from gan_jax.metrics.features.classifier_training import Recipe
from gan_jax.metrics.features.select import select_features
from gan_jax.networks import mlp
from gan_jax.reporting import tables
from gan_jax.runs import score_card
from gan_jax.runs.restore import restore
from gan_jax.training import population_state
from gan_jax.training.state import generator_variables
from tests.helpers import small

pytestmark = pytest.mark.integration

IMAGE_CONFIG = small.config(
    disc=mlp.Discriminator(widths=(12,)), penalties=Penalties(), n_critic=1, seeds=(3, 5)
)
POINT_CONFIG = dataclasses.replace(
    IMAGE_CONFIG,
    name="points",
    gen=mlp.Generator(shape=(2,), widths=(8,), out="linear"),
    data=PointData("ring"),
    seeds=(),
    seed=4,
)
ONE_DEVICE = jax.local_devices()[:1]


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """Cache folder of this test, for statistics of real data."""
    monkeypatch.setenv("GAN_JAX_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Run folders of IMAGE_CONFIG, with checkpoints of steps 5, 10, 12, and of POINT_CONFIG."""
    root = tmp_path_factory.mktemp("runs")
    for config in (IMAGE_CONFIG, POINT_CONFIG):
        small.fit(config, root / config.name)
    return root


def evaluate_small(trained, **overrides):
    settings = Settings(
        features=extractor.pixels(), **{"devices": ONE_DEVICE, "quiet": True, **overrides}
    )
    return {
        (card.step, card.metric): card
        for card in evaluate.evaluate(trained / "small", settings, steps=(12,))
    }


def member_samples(trained, number, n, seed=None):
    """Samples of a population member, uint8 [n, h, w, c], generated in a single call."""
    _, config, state = restore(trained / "small", 12)
    member_config, state = population_state.member_run(config, state, number)
    key = keys.step_key(
        keys.root_key(member_config.seed if seed is None else seed), keys.Purpose.SAMPLE, 0
    )
    samples = sampling.sample(member_config, generator_variables(state), key, n)
    return pixels.to_pixels(samples, symmetric=False)


def test_cards_hold_the_metrics_of_every_members_samples(trained):
    cards = evaluate_small(trained)
    real = sources.load(IMAGE_CONFIG.data).batch.real.reshape(1797, -1) / 255
    assert {step for step, _ in cards} == {12}
    for number in range(2):
        fake = member_samples(trained, number, 1797).reshape(1797, -1) / 255
        distance = frechet.frechet_distance(frechet.moments(real), frechet.moments(fake))
        # Features are float32, and moments are merged from batches.
        assert cards[12, "frechet"].values[number] == pytest.approx(distance, rel=1e-4)
        pairs = manifold.manifold_scores(real, fake)._asdict()
        for name, value in pairs.items():  # up to three ties among 1797
            assert cards[12, name].values[number] == pytest.approx(value, abs=3 / 1797)
    card = cards[12, "coverage"]
    assert (card.seeds, card.sample_seed, card.weights) == ((3, 5), None, "ema")
    assert (card.n_real, card.n_fake, card.real) == (1797, 1797, "digits all")
    assert card.real_sha256 == sources.load(IMAGE_CONFIG.data).fingerprint
    assert (card.features, card.resize, card.truncation) == ("pixels", "none", None)
    assert card.features_note == ""
    assert card.expected == manifold.expected_coverage(1797, 1797)
    assert card.mean == pytest.approx(np.mean(card.values))
    assert card.std == pytest.approx(np.std(card.values, ddof=1))
    assert len(cards[12, "kernel"].standard_error) == 2
    assert "classifier_score" not in {name for _, name in cards}


def test_devices_and_batches_do_not_change_scores(trained, monkeypatch):
    on_one_device = evaluate_small(trained, num=300)
    for module in (members, reference_statistics):
        monkeypatch.setattr(module, "BATCH", 77)
    on_eight_devices = evaluate_small(trained, num=300, devices=jax.local_devices()[:8])
    for name, card in on_one_device.items():
        # Rounding in the generator may move a pixel of some samples by one level of 256.
        np.testing.assert_allclose(
            on_eight_devices[name].values, card.values, rtol=1e-3, atol=2 / 300
        )
    assert on_one_device[12, "frechet"].n_fake == 300


def test_the_sample_seed_replaces_the_training_seeds(trained):
    cards = evaluate_small(trained, num=50, seed=9)
    assert cards[12, "frechet"].sample_seed == 9
    fake = member_samples(trained, 1, 50, seed=9).reshape(50, -1) / 255
    real = frechet.moments(sources.load(IMAGE_CONFIG.data).batch.real.reshape(1797, -1) / 255)
    distance = frechet.frechet_distance(real, frechet.moments(fake))
    assert cards[12, "frechet"].values[1] == pytest.approx(distance, rel=1e-4)


def test_the_command_writes_a_card_per_checkpoint_that_record_reads(command, trained, tmp_path):
    arguments = f"evaluate {trained / 'small'} --features pixels --num-samples 64 --devices 1"
    status, output, _ = command(app.main, arguments, "--checkpoints all")
    assert status == 0
    cards = json.loads((trained / "small" / "scores.json").read_text())
    assert [card["step"] for card in cards["cards"]] == sorted([5, 10, 12] * 6)
    assert cards["versions"]["packages"]["jax"] == jax.__version__
    last = {card["metric"]: card for card in cards["cards"] if card["step"] == 12}
    assert len(output.splitlines()) == 1 + 18 + 1
    assert score_card.format_number(last["frechet"]["mean"]) in output
    assert last["frechet"]["sd"] == pytest.approx(np.std(last["frechet"]["values"], ddof=1))
    status, output, _ = command(app.main, f"record {trained / 'small'} --out {tmp_path / 'out'}")
    assert status == 0
    entry = json.loads((tmp_path / "out" / "small.json").read_text())
    for i, run in enumerate(entry["runs"]):
        assert run["scores"] == {name: last_card["values"][i] for name, last_card in last.items()}
    assert [card["metric"] for card in entry["protocol"]] == list(last)
    assert entry["protocol"][0]["n_fake"] == 64
    table = tables.image_score_table(tmp_path / "out")
    mean, std = last["frechet"]["mean"], last["frechet"]["sd"]
    assert (
        f"| `small`, 2 seeds | pixels | 64 | 1797 of digits all | {mean:.2f} ± {std:.2f} |" in table
    )


def test_points_are_scored_by_their_modes(command, trained):
    status, output, _ = command(app.main, f"evaluate {trained / 'points'}")
    assert status == 0
    cards = {
        card["metric"]: card for card in score_card.read_cards(trained / "points" / "scores.json")
    }
    _, config, state = restore(trained / "points")
    key = keys.step_key(keys.root_key(4), keys.Purpose.SAMPLE, 0)
    points = sampling.sample(config, generator_variables(state), key, 2500)
    expected = modes.modes(points, sources.ring_centers(), 0.01)._asdict()
    assert {name: card["values"] for name, card in cards.items()} == {
        name: [float(value)] for name, value in expected.items()
    }
    assert (cards["kl"]["features"], cards["kl"]["n_fake"]) == ("points", 2500)
    assert cards["kl"]["expected"] == modes.kl_floor(8, 2500)
    assert cards["kl"]["sd"] is None
    assert "points, 2500\n" in output


def test_a_diverged_member_is_nan_and_does_not_affect_the_others(trained, monkeypatch):
    def break_member(config, variables, key, n, **settings):
        samples = original_sample(config, variables, key, n, **settings)
        return samples * np.nan if config.seed == 5 else samples

    original_sample = sampling.sample
    monkeypatch.setattr(sampling, "sample", break_member)
    precision = evaluate_small(trained, num=20)[12, "precision"]
    assert np.isfinite(precision.values[0])
    assert np.isnan(precision.values[1])
    monkeypatch.setattr(
        sampling,
        "sample",
        lambda *arguments, **settings: original_sample(*arguments, **settings) * np.nan,
    )
    with pytest.raises(UserError, match="samples of step 12 are not finite"):
        evaluate_small(trained, num=20)


def test_record_rejects_the_score_of_a_diverged_member(command, trained, tmp_path):
    copy = shutil.copytree(trained / "small", tmp_path / "small")
    assert command(app.main, f"evaluate {copy} --features pixels --num-samples 20")[0] == 0
    scores = json.loads((copy / "scores.json").read_text())
    scores["cards"][0]["values"][1] = None
    (copy / "scores.json").write_text(json.dumps(scores))
    status, _, error = command(app.main, f"record {copy} --out {tmp_path / 'out'}")
    assert (status, error.count("\n")) == (2, 1)
    assert "has a score that is not finite" in error


def test_folders_of_images_are_scored(command, tmp_path):
    images = sources.load(ImageData("digits", "all")).batch.real
    for name, part_images in (("real", images[:40]), ("fake", images[40:70])):
        (tmp_path / name).mkdir()
        for i, image in enumerate(part_images):
            Image.fromarray(image[..., 0]).save(tmp_path / name / f"{i:02d}.png")
    out = tmp_path / "cards.json"
    arguments = (
        f"evaluate-folders {tmp_path / 'real'} {tmp_path / 'fake'} --features pixels --devices 1"
    )
    assert command(app.main, arguments, f"--out {out}")[0] == 0
    cards = {card["metric"]: card for card in score_card.read_cards(out)}
    real, fake = (
        np.repeat(part_images, 3, -1).reshape(len(part_images), -1) / 255
        for part_images in (images[:40], images[40:70])
    )
    distance = frechet.frechet_distance(frechet.moments(real), frechet.moments(fake))
    assert cards["frechet"]["values"] == [pytest.approx(distance, rel=1e-4)]
    assert (cards["recall"]["n_real"], cards["recall"]["n_fake"]) == (40, 30)
    same = evaluate.score_folders(
        tmp_path / "real", tmp_path / "real", extractor.pixels(), ONE_DEVICE, quiet=True
    )
    values = {card.metric: card.mean for card in same}
    assert (values["precision"], values["recall"]) == (1, 1)
    assert values["frechet"] < 1e-9


def test_real_statistics_are_cached_and_replaced_when_damaged(cache, caplog):
    calls = []

    @dataclasses.dataclass
    class Features:
        name: str = "mean"
        sha256: str = "0"
        resize: str = "none"
        note: str = ""
        head: None = None

        def __call__(self, images, devices=None):
            calls.append(len(images))
            return images.reshape(len(images), -1)[:, :9].astype(np.float32)

    dataset = sources.load(ImageData("digits", "test"))
    first = reference_statistics.real_statistics(Features(), dataset, quiet=True)
    assert sum(calls) == 360
    cached = reference_statistics.real_statistics(Features(), dataset, quiet=True)
    assert sum(calls) == 360
    jax.tree.map(np.testing.assert_array_equal, first, cached)
    reference_statistics.real_statistics(Features(sha256="1"), dataset, quiet=True)
    reference_statistics.real_statistics(
        Features(), sources.load(ImageData("digits", "train")), quiet=True
    )
    assert sum(calls) == 360 * 2 + 1437
    for path in (cache / "statistics").iterdir():
        path.write_bytes(path.read_bytes()[:100])
    jax.tree.map(
        np.testing.assert_array_equal,
        first,
        reference_statistics.real_statistics(Features(), dataset, quiet=True),
    )
    assert sum(calls) == 360 * 3 + 1437
    assert "is damaged and will be replaced" in caplog.text
    (cache / "file").write_text("")
    uncached = reference_statistics.real_statistics(
        Features(), dataset, cache=cache / "file" / "statistics", quiet=True
    )
    jax.tree.map(np.testing.assert_array_equal, first, uncached)
    assert "cannot be written: Not a directory" in caplog.text


def test_pixel_features_of_large_images_are_rejected():
    images = np.zeros((2, 80, 80, 3), np.uint8)
    large = sources.Dataset(Batch(images), "0", None)
    with pytest.raises(UserError, match="'pixels' must have at most 12288 values, got 19200"):
        reference_statistics.real_statistics(extractor.pixels(), large, quiet=True)


def test_the_subsample_has_every_label_of_samples_with_cycled_labels():
    counts = np.bincount(feature_statistics.subsample_indices(50_000) % 10, minlength=10)
    assert np.abs(counts - 1000).max() < 150  # five standard deviations


@pytest.mark.parametrize("sizes", [[30], [7, 1, 22], [1] * 30])
def test_accumulated_statistics_do_not_depend_on_the_batches(sizes, monkeypatch):
    monkeypatch.setattr(feature_statistics, "MAX_SUBSAMPLE", 8)
    features = np.random.default_rng(0).standard_normal((30, 3)).astype(np.float32)
    edges = np.cumsum([0, *sizes])
    batches = [features[a:b] for a, b in itertools.pairwise(edges)]
    statistics = feature_statistics.accumulate(batches, 30)
    chosen = feature_statistics.subsample_indices(30)
    starts = np.array([0, 3, 7, 11, 15, 18, 22, 26])  # of eight strata
    assert ((starts <= chosen) & (chosen < [*starts[1:], 30])).all()
    np.testing.assert_array_equal(statistics.subsample, features[chosen])
    moments = frechet.moments(features)
    np.testing.assert_allclose(statistics.moments.mean, moments.mean, rtol=1e-12)
    np.testing.assert_allclose(statistics.moments.scatter, moments.scatter, rtol=1e-12)
    with pytest.raises(UserError, match="31 examples in total, got 30"):
        feature_statistics.accumulate(batches, 31)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--features pixel", "features must be one of classifier, inception, pixels"),
        ("--features inception-5", "got 'inception-5'"),
        ("--features os:nothing", "features 'os:nothing'"),
        ("--features os:name", "must be callable, got 'os:name'"),
        ("--num-samples 3", "num_samples must be at least 6, got 3"),
        ("--devices 99 --features pixels", "got 99"),
        ("--cas", "small is not conditioned on classes"),
        ("--path-length --num-paths 0", "num_paths must be at least 1, got 0"),
        ("--seed 4294967296", "seed must be from 0 to 4294967295, got 4294967296"),
        (
            f"--path-length --features {__name__}:ten_numbers",
            "must be classifier, inception or pixels, of a run on images, got",
        ),
    ],
)
def test_errors_are_one_line(command, trained, flags, message):
    status, _, error = command(app.main, f"evaluate {trained / 'small'}", flags)
    assert (status, error.count("\n")) == (2, 1)
    assert message in error


@pytest.mark.parametrize(
    ("data", "field"),
    [
        (ImageData("mnist"), "dir"),
        (ImageData("stacked_mnist"), "dir"),
        (ImageData("idx"), "path"),  # as exported files have it, without a path
        (ImageData("folder", path="there"), "path"),
    ],
)
def test_data_can_be_moved_to_another_folder(data, field):
    assert schema.with_data_dir(data, "here") == dataclasses.replace(data, **{field: "here"})
    assert schema.with_data_dir(data, None) == data


def test_data_with_another_fingerprint_are_rejected(trained):
    config = dataclasses.replace(IMAGE_CONFIG, data=ImageData("digits", "test"))
    with pytest.raises(UserError, match="was trained on other data: fingerprint"):
        evaluate.load_data(trained / "small", config, None)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((2, 4, 4, 1), np.float32), "must be uint8"),
        (np.zeros((2, 4, 4), np.uint8), r"must be \[n, h, w, 1 or 3\]"),
        (np.zeros((2, 4, 4, 2), np.uint8), r"must be \[n, h, w, 1 or 3\]"),
        (np.zeros((0, 4, 4, 1), np.uint8), "n >= 1"),
        (np.zeros((2, 5, 4, 1), np.uint8), r"must be \[n, 4, 4, 1\] for pixels"),
    ],
)
def test_images_of_other_dtypes_or_shapes_are_rejected(images, message):
    features = dataclasses.replace(extractor.pixels(), shape=(4, 4, 1))
    with pytest.raises(UserError, match=message):
        features(images)


def test_no_split_of_the_data_is_loaded_twice(command, trained, tmp_path, monkeypatch):
    loaded, load = [], sources.load

    def counting_load(data):
        loaded.append(data.split)
        return load(data)

    monkeypatch.setattr(sources, "load", counting_load)
    tiny = Recipe(widths=(4, 4, 4), features=6, epochs=0.2, batch_size=16)
    monkeypatch.setattr(classifier, "RECIPES", {"digits": tiny})
    folder = shutil.copytree(trained / "small", tmp_path / "small")
    assert command(app.main, f"evaluate {folder} --num-samples 40 --devices 1")[0] == 0
    assert {card["features"] for card in score_card.read_cards(folder / "scores.json")} == {
        "digits-classifier"
    }
    assert loaded == ["all", "train", "test"]  # the run's data, then training and test data


def ten_numbers(images):
    """User-defined features [n, 10]."""
    return np.asarray(images, np.float32).reshape(len(images), -1)[:, 20:30]


def test_user_defined_features(trained):
    features = select_features(f"{__name__}:ten_numbers", IMAGE_CONFIG.data)
    assert features.name == f"{__name__}:ten_numbers"
    settings = Settings(features=features, num=40, devices=ONE_DEVICE, quiet=True)
    (card, *_) = evaluate.evaluate(trained / "small", settings, steps=(12,))
    assert (card.features, card.metric) == (features.name, "frechet")
    assert np.isfinite(card.mean)


DATA = {
    "image": ImageData("digits", "test"),
    "audio": AudioData("tones", "test", length=64),
    "text": TextData("oracle", tokens=4, vocabulary=9),
    "mixture": PointData("ring"),
    "stacked_mnist": ImageData("stacked_mnist"),
}


def evaluation_of(kind, monkeypatch, **settings):
    monkeypatch.setitem(
        sources.READERS, "stacked_mnist", lambda data: (np.zeros((4, 28, 28, 3), np.uint8), None)
    )
    config = dataclasses.replace(IMAGE_CONFIG, data=DATA[kind])
    return Evaluation(config, config.data, sources.load(config.data), Settings(**settings))


def test_stacked_mnist_has_evaluators_of_its_own_and_other_data_those_of_their_type(monkeypatch):
    for kind, data in DATA.items():
        evaluation = evaluation_of(kind, monkeypatch)
        selected = evaluators.evaluation_kind(evaluation.config, evaluation.dataset)
        stacked = kind == "stacked_mnist"
        assert selected is (evaluators.STACKED if stacked else evaluators.KINDS[type(data)])


@pytest.mark.parametrize(
    ("kind", "settings", "message"),
    [
        ("image", {}, "features must be set for data 'digits'"),
        ("mixture", {"features": extractor.pixels()}, "features must not be set for data 'ring'"),
        ("mixture", {"paths": 5}, "path length and classification accuracy .* 'ring'"),
        (
            "stacked_mnist",
            {"features": extractor.pixels()},
            "must be those of a classifier, got 'pixels'",
        ),
        ("text", {"temperatures": (1.0, 0.0)}, "must be above 0"),
    ],
)
def test_settings_for_another_kind_of_data_are_rejected(kind, settings, message, monkeypatch):
    with pytest.raises(UserError, match=message):
        evaluators.make_evaluators(evaluation_of(kind, monkeypatch, **settings))
