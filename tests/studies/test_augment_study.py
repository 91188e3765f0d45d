"""Augmentation study: summary, training sets and resuming."""

import json

import jax
import numpy as np
import pytest

from gan_jax.config import ImageData, Penalties, population
from gan_jax.data import sources
from gan_jax.data.batch import Batch
from gan_jax.data.sources import Dataset
from gan_jax.metrics.features.classifier_ensemble import fit_many
from gan_jax.metrics.features.classifier_training import Recipe, fit
from gan_jax.metrics.significance import confidence_interval
from gan_jax.networks import mlp
from studies import augment_study
from tests.helpers import small

TINY = Recipe(widths=(4,), depths=(1,), features=6, epochs=1.2, batch_size=8, shift=0)
ACCURACY = {
    "nothing": [0.81, 0.79, 0.84, 0.80, 0.78],
    "classic": [0.90, 0.88, 0.93, 0.89, 0.87],  # 0.09 more in each repeat
    "gan": [0.83, 0.82, 0.83, 0.84, 0.79],
    "classic_gan": [0.91, 0.87, 0.92, 0.91, 0.90],
}


def test_the_summary_compares_paired_repeats():
    summary = augment_study.summary(ACCURACY)
    for arm, values in ACCURACY.items():
        mean, half, _ = confidence_interval(values)
        assert summary["arms"][arm] == {"mean": mean, "half": half}
    differences = np.subtract(ACCURACY["classic_gan"], ACCURACY["classic"])
    mean, half, p_value = confidence_interval(differences)
    expected = {"mean": mean, "half": half, "p": p_value}
    assert summary["differences"]["classic_gan - classic"] == expected
    assert list(summary["differences"]) == [
        "gan - nothing",
        "classic - nothing",
        "classic_gan - classic",
    ]
    equal = augment_study.summary({**ACCURACY, "classic": ACCURACY["nothing"]})
    assert equal["differences"]["classic - nothing"] == {"mean": 0.0, "half": 0.0, "p": None}


def test_the_table_has_a_row_per_size():
    record = {
        "results": {size: {"summary": augment_study.summary(ACCURACY)} for size in ("20", "5")}
    }
    header, _, *rows = augment_study.table(record).splitlines()
    assert header.startswith(
        "| digits per class | nothing | classic | GAN | classic + GAN | GAN against"
    )
    assert [row.split(" | ")[0] for row in rows] == ["| 5", "| 20"]
    assert "| 80.4 ± 2.9 | 89.4 ± 2.9 | 82.2 ± 2.4 |" in rows[0]


def test_half_of_the_training_set_is_real():
    images = np.arange(1, 4, dtype=np.uint8).reshape(3, 1, 1, 1)
    real = Dataset(Batch(images, np.arange(3, dtype=np.int32)), "")
    samples = np.full((6, 1, 1, 1), 9, np.uint8), np.arange(6, dtype=np.int32)
    x, y = augment_study.mixed(real, samples, 12)
    assert x.ravel().tolist() == [1, 2, 3, 1, 2, 3, 9, 9, 9, 9, 9, 9]
    assert y.tolist() == [0, 1, 2, 0, 1, 2, 0, 1, 2, 3, 4, 5]
    x, y = augment_study.mixed(real, None, 12)
    assert x.ravel().tolist() == [1, 2, 3] * 4


def test_concurrent_classifiers_equal_single_ones(monkeypatch):
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (2, 20, 8, 8, 1), np.uint8)
    labels = random.integers(0, 3, (2, 20))
    network, single = fit(TINY, images[1], labels[1], 10, 6, quiet=True)
    _, variables = fit_many(TINY, images, labels, 10, (5, 6), max_concurrent=2, quiet=True)
    second = jax.tree.map(lambda leaf: leaf[1], variables)
    # Sums are in another order, over three steps of up to 4e-3 each.
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), second, single)
    monkeypatch.setattr(augment_study, "CLASSIFIER_STEPS", 3)
    test = Dataset(Batch(images[0], labels[0].astype(np.int32)), "")
    # On CPUs, classifiers are trained one at a time.
    accuracies = augment_study.accuracies(TINY, [*zip(images, labels, strict=True)], (5, 6), test)
    logits = network.apply(single, images[0].astype(np.float32) / 255, train=False)[1]
    assert accuracies[1] == pytest.approx(np.mean(logits.argmax(1) == labels[0]))


@pytest.fixture
def classifier_calls(monkeypatch):
    """Reduces the study to tiny networks and records the calls that train classifiers."""
    config = small.config(
        name="augment_study",
        gen=mlp.Generator(shape=(8, 8, 1), widths=(8,), classes=10),
        disc=mlp.Discriminator(widths=(8,), classes=10),
        data=ImageData("digits", labels=True),
        loss="non_saturating",
        penalties=Penalties(),
        n_critic=1,
    )
    monkeypatch.setattr(augment_study, "config", config)
    monkeypatch.setattr(augment_study, "SAMPLES", 4)
    calls = []

    def accuracies(recipe, sets, seeds, _):  # slow to compile, and tested above
        calls.append((recipe, sets))
        return [0.5 + 0.1 * seed for seed in seeds]

    monkeypatch.setattr(augment_study, "accuracies", accuracies)
    return calls


def test_the_study_continues_where_it_stopped(classifier_calls, command, tmp_path, monkeypatch):
    out = tmp_path / "results" / "study.json"
    flags = f"--steps 2 --seeds 0 1 --out {out}"
    assert command(augment_study.main, flags, "--ks 2")[0] == 0
    first = json.loads(out.read_text())
    gan_calls = []

    def train_gans(config, sets):  # returns untrained GANs
        gan_calls.append((config, sets))
        inputs = jax.random.key(0), np.zeros((1, config.prior.dim)), np.zeros(1, np.int32)
        variables = config.gen.init(*inputs, train=False)
        return [(member, variables) for member in population.member_configs(config)]

    monkeypatch.setattr(augment_study, "train_gans", train_gans)
    status, output, _ = command(augment_study.main, flags, "--ks 2 4")
    assert status == 0
    ((config, sets),) = gan_calls  # k = 2 is not computed again
    assert (config.seeds, config.steps) == ((0, 1), 2)
    for seed, subset in enumerate(sets):
        data = ImageData("digits", labels=True, per_class=4, subset_seed=seed)
        assert subset.fingerprint == sources.load(data).fingerprint
    record = json.loads(out.read_text())
    assert record["results"]["2"] == first["results"]["2"]
    assert record["results"]["4"]["data"] == [subset.fingerprint for subset in sets]
    assert record["results"]["4"]["accuracy"] == {arm: [0.5, 0.6] for arm in augment_study.ARMS}
    assert [recipe.slant > 0 for recipe, _ in classifier_calls] == [False, True, False, True] * 2
    for _, ((images, _), _) in classifier_calls[4:6]:  # the first repeat, without samples
        expected = {image.tobytes() for image in sets[0].batch.real}
        assert {image.tobytes() for image in images} == expected
    assert output.splitlines()[-2:] == augment_study.table(record).splitlines()[-2:]
    assert sorted(path.name for path in out.parent.iterdir()) == [
        "study.json",
        "study_2.png",
        "study_4.png",
    ]
    status, _, error = command(augment_study.main, f"--steps 3 --seeds 0 1 --out {out} --ks 2")
    assert (status, error.count("\n")) == (2, 1)
    assert "the same gan" in error


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--seeds 0", "got (0,)"),
        ("--seeds 1 1", "got (1, 1)"),
        ("--ks 5 9999", "from 1 to 500, got (5, 9999)"),
    ],
)
def test_bad_input_is_one_error_line(command, flags, message):
    status, _, error = command(augment_study.main, flags)
    assert (status, error.count("\n")) == (2, 1)
    assert message in error
