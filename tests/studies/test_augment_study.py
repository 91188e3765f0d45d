"""The study of augmentation: its summary, its training sets, and that it continues."""

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
    "classic": [0.90, 0.88, 0.93, 0.89, 0.87],  # 0.09 more each time
    "gan": [0.83, 0.82, 0.83, 0.84, 0.79],
    "classic_gan": [0.91, 0.87, 0.92, 0.91, 0.90],
}


def test_the_summary_pairs_repeats():
    summary = augment_study.summary(ACCURACY)
    for arm, values in ACCURACY.items():
        mean, half, _ = confidence_interval(values)
        assert summary["arms"][arm] == {"mean": mean, "half": half}
    differences = np.subtract(ACCURACY["classic_gan"], ACCURACY["classic"])
    mean, half, p = confidence_interval(differences)
    expected = {"mean": mean, "half": half, "p": p}
    assert summary["differences"]["classic_gan - classic"] == expected
    assert list(summary["differences"]) == [
        "gan - nothing",
        "classic - nothing",
        "classic_gan - classic",
    ]
    same = augment_study.summary({**ACCURACY, "classic": ACCURACY["nothing"]})
    assert same["differences"]["classic - nothing"] == {"mean": 0.0, "half": 0.0, "p": None}


def test_the_table():
    record = {"results": {k: {"summary": augment_study.summary(ACCURACY)} for k in ("20", "5")}}
    head, _, *rows = augment_study.table(record).splitlines()
    assert head.startswith(
        "| digits per class | nothing | classic | GAN | classic + GAN | GAN against"
    )
    assert [row.split(" | ")[0] for row in rows] == ["| 5", "| 20"]
    assert "| 80.4 ± 2.9 | 89.4 ± 2.9 | 82.2 ± 2.4 |" in rows[0]


def test_half_of_what_is_trained_on_are_reals():
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
    network, alone = fit(TINY, images[1], labels[1], 10, 6, quiet=True)
    _, variables = fit_many(TINY, images, labels, 10, (5, 6), max_concurrent=2, quiet=True)
    second = jax.tree.map(lambda leaf: leaf[1], variables)
    # Float sums in another order, over three steps of up to 4e-3 each.
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), second, alone)
    monkeypatch.setattr(augment_study, "CLASSIFIER_STEPS", 3)
    test = Dataset(Batch(images[0], labels[0].astype(np.int32)), "")
    # On CPUs one at a time.
    accuracies = augment_study.accuracies(TINY, [*zip(images, labels, strict=True)], (5, 6), test)
    logits = network.apply(alone, images[0].astype(np.float32) / 255, train=False)[1]
    assert accuracies[1] == pytest.approx(np.mean(logits.argmax(1) == labels[0]))


@pytest.fixture
def tiny(monkeypatch):
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
    trained = []

    def accuracies(recipe, sets, seeds, _):  # which takes long to compile, see above
        trained.append((recipe, sets))
        return [0.5 + 0.1 * seed for seed in seeds]

    monkeypatch.setattr(augment_study, "accuracies", accuracies)
    return trained


def test_it_goes_on_where_it_was_stopped(tiny, command, tmp_path, monkeypatch):
    out = tmp_path / "results" / "study.json"
    words = f"--steps 2 --seeds 0 1 --out {out}"
    assert command(augment_study.main, words, "--ks 2")[0] == 0
    first = json.loads(out.read_text())
    calls = []

    def train_gans(config, sets):  # untrained: the first call has trained
        calls.append((config, sets))
        inputs = jax.random.key(0), np.zeros((1, config.prior.dim)), np.zeros(1, np.int32)
        variables = config.gen.init(*inputs, train=False)
        return [(member, variables) for member in population.member_configs(config)]

    monkeypatch.setattr(augment_study, "train_gans", train_gans)
    status, output, _ = command(augment_study.main, words, "--ks 2 4")
    assert status == 0
    ((config, sets),) = calls  # k = 2 is not computed again
    assert (config.seeds, config.steps) == ((0, 1), 2)
    for seed, subset in enumerate(sets):
        allowed = ImageData("digits", labels=True, per_class=4, subset_seed=seed)
        assert subset.fingerprint == sources.load(allowed).fingerprint
    record = json.loads(out.read_text())
    assert record["results"]["2"] == first["results"]["2"]
    assert record["results"]["4"]["data"] == [subset.fingerprint for subset in sets]
    assert record["results"]["4"]["accuracy"] == {arm: [0.5, 0.6] for arm in augment_study.ARMS}
    assert [recipe.slant > 0 for recipe, _ in tiny] == [False, True, False, True] * 2
    for _, ((images, _), _) in tiny[4:6]:  # the first repeat, without samples
        assert {x.tobytes() for x in images} == {x.tobytes() for x in sets[0].batch.real}
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
    ("words", "message"),
    [
        ("--seeds 0", "got (0,)"),
        ("--seeds 1 1", "got (1, 1)"),
        ("--ks 5 9999", "from 1 to 500, got (5, 9999)"),
    ],
)
def test_mistakes(command, words, message):
    status, _, error = command(augment_study.main, words)
    assert (status, error.count("\n")) == (2, 1)
    assert message in error
