"""Text runs, from the data file to the scores: run folder, commands and their errors."""

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
    """Returns CONFIG with a data file of 80 sentences."""
    path = tmp_path_factory.mktemp("data") / "lines.txt"
    path.write_text("\n".join(LINES * 10), encoding="utf-8")
    data = TextData("lines", path=str(path), tokens=5, vocabulary=9)
    gen = dataclasses.replace(CONFIG.gen, length=5, vocabulary=9)
    return CONFIG.replace(gen=gen, data=data)


@pytest.fixture(scope="module")
def run(config, tmp_path_factory):
    """Trains `config` and returns the run folder."""
    folder = tmp_path_factory.mktemp("run")
    logging = Logging(log_every=1, sample_every=2, checkpoint_every=4)
    small.fit(config, folder, logging=logging, draw=True)
    return folder


def test_the_folder_has_samples_checkpoints_and_vocabulary(run):
    names = sorted(path.name for path in (run / "samples").iterdir())
    assert names == ["real.txt", *(f"step_{step:08d}.txt" for step in (2, 4, 6))]
    assert checkpoint_steps(run) == [
        CONFIG.pretrain.steps,
        4,
        6,
    ]  # with the end of pretraining
    assert (run / "samples" / "real.txt").read_text().splitlines()[0] == LINES[0]
    vocabulary = corpus.load_vocabulary(run)
    assert set(vocabulary) == {*corpus.SPECIAL, "a", "the", "cat", "dog", "sat", "ran", "."}
    samples = (run / "samples" / "step_00000006.txt").read_text().splitlines()
    assert len(samples) == 64
    for line in samples:
        assert set(line.split()) <= set(vocabulary)
    assert (run / "curves.png").exists()
    assert not (run / "film.png").exists()
    assert json.loads((run / "versions.json").read_text())["data"]["real"] == [5, 9]


def test_a_different_sample_file_is_reported(run, tmp_path):
    copy = shutil.copytree(run, tmp_path / "run")
    original, same = (compare.load_run_record(path) for path in (run, copy))
    assert compare.compare(original, same).compared[-1] == "samples: 3 in both runs"
    (copy / "samples" / "step_00000004.txt").write_text("the cat ran .\n")
    (difference,) = compare.compare(original, compare.load_run_record(copy)).differences
    assert difference == "samples: step_00000004.txt differs (1 of 3)"


def test_sampled_tokens_equal_the_one_hot_samples(config, run):
    _, _, state = restore(run)
    variables, key = generator_variables(state), keys.root_key(3)
    tokens = text.sample(config, variables, key, 5)
    one_hot = sampling.sample(config, variables, key, 5)
    np.testing.assert_array_equal(one_hot, np.eye(9)[tokens])
    with pytest.raises(UserError, match="temperature must be above 0 and finite, got 0"):
        text.sample(config, variables, key, 5, 0)


def test_sample_writes_a_text_file(run, command, tmp_path):
    flags = f"--num-samples 7 --out {tmp_path}/samples.txt"
    status, output, _ = command(app.main, f"sample {run}", flags)
    assert status == 0
    assert "7 samples of step 6" in output
    first = (tmp_path / "samples.txt").read_text()
    assert len(first.splitlines()) == 7
    assert command(app.main, f"sample {run}", flags)[0] == 2  # the file exists
    status, _, _ = command(app.main, f"sample {run}", flags, "--force --temperature 0.1")
    assert status == 0
    assert (tmp_path / "samples.txt").read_text() != first


def test_evaluate_writes_scores_by_temperature(run, command):
    flags = f"--num-samples {SAMPLES} --temperatures 1 0.5"
    status, output, _ = command(app.main, f"evaluate {run}", flags)
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
        assert f"{name} " in output
    # A lower temperature makes samples more likely.
    assert cards["nll_div at 0.5"]["values"] < cards["nll_div"]["values"]
    status, _, error = command(app.main, f"evaluate {run}", "--cas")
    assert status == 2
    assert "cas must not be set for a text run" in error


def test_the_oracle_scores_the_likelihood_of_samples():
    """Samples of the oracle generator are equally likely under the oracle and the generator."""
    data = TextData("oracle", tokens=4, vocabulary=9)
    gen = lstm.oracle_generator(4, 9)
    config = CONFIG.replace(gen=gen, data=data)
    dataset = sources.load(data)
    variables = oracle.oracle_variables(4, 9)
    protocol = EvaluationProtocol("tokens", "oracle", "0", 64, 64, temperature=1.0)
    member = Member(config, variables, seed=0)
    scores = text_metrics.TextMetrics(dataset, dataset, protocol)(member)
    assert scores.keys() == {"nll_div", "nll_oracle", "nll_gen"}
    assert scores["nll_oracle"][0] == pytest.approx(scores["nll_div"][0], rel=1e-6)
    # One is estimated from 64 samples, the other from 10,000 sentences of the oracle.
    assert scores["nll_gen"][0] == pytest.approx(scores["nll_oracle"][0], rel=0.2)


def test_unknown_words_of_the_test_split_match_nothing(config):
    dataset = sources.load(config.data)
    batch = dataclasses.replace(dataset.batch, real=np.full((8, 5), corpus.UNKNOWN, np.uint16))
    test = dataclasses.replace(dataset, batch=batch)
    gen = config.gen
    variables = jax.jit(
        lambda: gen.init(keys.root_key(0), keys.dummy_latents(1, 2, "key"), train=False)
    )()
    protocol = EvaluationProtocol("tokens", "lines", "0", 8, 8, temperature=1.0)
    scores = text_metrics.TextMetrics(dataset, test, protocol)(Member(config, variables, seed=0))
    assert scores["bleu_2"][0] == 0
    assert "nll_gen" not in scores


def test_scores_during_training_are_rejected(config):
    with pytest.raises(UserError, match="there is no metric for data 'lines'"):
        in_training.make_scorer(config, sources.load(config.data), jax.local_devices()[0])


def test_networks_of_another_vocabulary_are_rejected(config):
    data = dataclasses.replace(config.data, vocabulary=12)
    with pytest.raises(UserError, match=r"must be that of the data, \[5, 12\], got \[5, 9\]"):
        initialize(
            dataclasses.replace(config, data=data), sources.load(data), jax.local_devices()[:1]
        )


def test_streamed_batches_equal_resident_batches(config):
    dataset, root = sources.load(config.data), keys.root_key(config.seed)
    devices = jax.local_devices()[:1]
    batches = []
    for feed in (feeds.resident(dataset, devices), feeds.streamed(config, dataset, devices, 0)):
        data, _ = next(feed)
        if isinstance(data, feeds.Block):
            data = jax.tree.map(lambda leaf: leaf[0], data)
        batches.append(feeds.batch_at(config, data, root, np.int32(3), 0, 1).real)
    assert batches[0].shape == (1, 8, 5, 9)
    np.testing.assert_array_equal(*batches)
