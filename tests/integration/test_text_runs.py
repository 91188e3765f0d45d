"""A run on sentences, from the file to the scores: folder, commands, and what they refuse."""

import dataclasses
import json
import shutil

import jax
import numpy as np
import pytest

from gan_jax.cli import app
from gan_jax.config import Logging, TextData
from gan_jax.core import keys
from gan_jax.core.errors import UserError
from gan_jax.data import feeds, sources
from gan_jax.data.text import corpus, oracle
from gan_jax.inference import sampling, text
from gan_jax.metrics.evaluation import in_training
from gan_jax.metrics.evaluation import text as text_metrics
from gan_jax.metrics.evaluation.evaluator import EvaluationProtocol
from gan_jax.metrics.evaluation.members import Member
from gan_jax.networks import lstm
from gan_jax.runs import compare
from gan_jax.runs.restore import checkpoint_steps, restore
from gan_jax.training.initialize import initialize
from gan_jax.training.state import generator_variables
from tests.helpers import small
from tests.helpers.small import TEXTS as CONFIG

LINES = [f"{a} {b} {c} ." for a in ("a", "the") for b in ("cat", "dog") for c in ("sat", "ran")]
SAMPLES = 40


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    """CONFIG on a file of 80 sentences."""
    path = tmp_path_factory.mktemp("data") / "lines.txt"
    path.write_text("\n".join(LINES * 10), encoding="utf-8")
    data = TextData("lines", path=str(path), tokens=5, vocabulary=9)
    gen = dataclasses.replace(CONFIG.gen, length=5, vocabulary=9)
    return CONFIG.replace(gen=gen, data=data)


@pytest.fixture(scope="module")
def run(config, tmp_path_factory):
    """Its run folder."""
    folder = tmp_path_factory.mktemp("run")
    logging = Logging(log_every=1, sample_every=2, checkpoint_every=4)
    small.fit(config, folder, logging=logging, draw=True)
    return folder


def test_the_folder(run):
    names = sorted(path.name for path in (run / "samples").iterdir())
    assert names == ["real.txt", *(f"step_{step:08d}.txt" for step in (2, 4, 6))]
    assert checkpoint_steps(run) == [CONFIG.pretrain.steps, 4, 6]  # likelihood's end too
    assert (run / "samples" / "real.txt").read_text().splitlines()[0] == LINES[0]
    vocabulary = corpus.load_vocabulary(run)
    assert set(vocabulary) == {*corpus.SPECIAL, "a", "the", "cat", "dog", "sat", "ran", "."}
    made = (run / "samples" / "step_00000006.txt").read_text().splitlines()
    assert len(made) == 64
    for line in made:
        assert set(line.split()) <= set(vocabulary)
    assert (run / "curves.png").exists()
    assert not (run / "film.png").exists()
    assert json.loads((run / "versions.json").read_text())["data"]["real"] == [5, 9]


def test_another_sentence_is_named(run, tmp_path):
    copy = shutil.copytree(run, tmp_path / "run")
    ours, theirs = (compare.load_run_record(path) for path in (run, copy))
    assert compare.compare(ours, theirs).compared[-1] == "samples: 3 in both runs"
    (copy / "samples" / "step_00000004.txt").write_text("the cat ran .\n")
    (where,) = compare.compare(ours, compare.load_run_record(copy)).differences
    assert where == "samples: step_00000004.txt differs (1 of 3)"


def test_samples_are_those_of_the_generator(config, run):
    _, _, state = restore(run)
    variables, key = generator_variables(state), keys.root_key(3)
    rows = text.sample(config, variables, key, 5)
    one_hot = sampling.sample(config, variables, key, 5)
    np.testing.assert_array_equal(one_hot, np.eye(9)[rows])
    with pytest.raises(UserError, match="temperature must be above 0 and finite, got 0"):
        text.sample(config, variables, key, 5, 0)


def test_the_sample_command(run, command, tmp_path):
    words = f"--num-samples 7 --out {tmp_path}/made.txt"
    status, out, _ = command(app.main, f"sample {run}", words)
    assert status == 0
    assert "7 samples of step 6" in out
    first = (tmp_path / "made.txt").read_text()
    assert len(first.splitlines()) == 7
    assert command(app.main, f"sample {run}", words)[0] == 2  # it exists
    status, _, _ = command(app.main, f"sample {run}", words, "--force --temperature 0.1")
    assert status == 0
    assert (tmp_path / "made.txt").read_text() != first


def test_the_evaluate_command(run, command):
    words = f"--num-samples {SAMPLES} --temperatures 1 0.5"
    status, out, _ = command(app.main, f"evaluate {run}", words)
    assert status == 0
    cards = {
        card["metric"]: card for card in json.loads((run / "scores.json").read_text())["cards"]
    }
    names = {"nll_gen", "nll_div", *(f"{s}bleu_{k}" for s in ("", "self_") for k in (2, 3, 4, 5))}
    assert cards.keys() == names | {f"{name} at 0.5" for name in names}
    assert {card["n_fake"] for card in cards.values()} == {SAMPLES}
    assert cards["bleu_2"]["n_real"] == cards["nll_gen at 0.5"]["n_real"] == 8
    assert {card["temperature"] for card in cards.values()} == {1.0, 0.5}
    for name in ("bleu_2", "self_bleu_2"):
        assert 0 < cards[name]["values"][0] < 1
        assert f"{name} " in out
    # What the generator is sure of is more alike.
    assert cards["nll_div at 0.5"]["values"] < cards["nll_div"]["values"]
    status, _, said = command(app.main, f"evaluate {run}", "--cas")
    assert status == 2
    assert "cas must not be set for a text run" in said


def test_the_law_of_the_oracle_is_known():
    """Its own generator is as likely under it as under itself."""
    data = TextData("oracle", tokens=4, vocabulary=9)
    gen = lstm.oracle_generator(4, 9)
    ours = CONFIG.replace(gen=gen, data=data)
    dataset = sources.load(data)
    variables = oracle.oracle_variables(4, 9)
    protocol = EvaluationProtocol("tokens", "oracle", "0", 64, 64, temperature=1.0)
    found = text_metrics.TextMetrics(dataset, dataset, protocol)(Member(ours, variables, seed=0))
    assert found.keys() == {"nll_div", "nll_oracle", "nll_gen"}
    assert found["nll_oracle"][0] == pytest.approx(found["nll_div"][0], rel=1e-6)
    # 64 samples of it, and 10,000.
    assert found["nll_gen"][0] == pytest.approx(found["nll_oracle"][0], rel=0.2)


def test_unknown_words_of_the_test_match_nothing(config):
    dataset = sources.load(config.data)
    batch = dataclasses.replace(dataset.batch, real=np.full((8, 5), corpus.UNKNOWN, np.uint16))
    test = dataclasses.replace(dataset, batch=batch)
    gen = config.gen
    variables = jax.jit(
        lambda: gen.init(keys.root_key(0), keys.dummy_latents(1, 2, "key"), train=False)
    )()
    protocol = EvaluationProtocol("tokens", "lines", "0", 8, 8, temperature=1.0)
    found = text_metrics.TextMetrics(dataset, test, protocol)(Member(config, variables, seed=0))
    assert found["bleu_2"][0] == 0
    assert "nll_gen" not in found


def test_scores_while_it_trains_are_refused(config):
    with pytest.raises(UserError, match="there is no metric for data 'lines'"):
        in_training.make_scorer(config, sources.load(config.data), jax.local_devices()[0])


def test_networks_of_another_vocabulary_are_refused(config):
    data = dataclasses.replace(config.data, vocabulary=12)
    with pytest.raises(UserError, match=r"must be that of the data, \[5, 12\], got \[5, 9\]"):
        initialize(
            dataclasses.replace(config, data=data), sources.load(data), jax.local_devices()[:1]
        )


def test_streamed_batches_are_resident_ones(config):
    dataset, root = sources.load(config.data), keys.root_key(config.seed)
    one = jax.local_devices()[:1]
    seen = []
    for feed in (feeds.resident(dataset, one), feeds.streamed(config, dataset, one, 0)):
        data, _ = next(feed)
        if isinstance(data, feeds.Block):
            data = jax.tree.map(lambda leaf: leaf[0], data)
        seen.append(feeds.batch_at(config, data, root, np.int32(3), 0, 1).real)
    assert seen[0].shape == (1, 8, 5, 9)
    np.testing.assert_array_equal(*seen)
