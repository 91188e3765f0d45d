"""Text data sets: tokenization, detokenization and one-line errors."""

import dataclasses
import re
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.config import TextData
from gan_jax.core.errors import UserError
from gan_jax.data import feeds, sources
from gan_jax.data.text import corpus, oracle
from gan_jax.networks import lstm
from tests.helpers import small

LINES = "a cat's bed.\n\n  a dog\nthe cat sat on the mat\na cat\n" + "a dog\n" * 6 + "a bird!"


@pytest.fixture
def lines(tmp_path):
    """Return the data config of a file with the sentences in LINES."""
    path = tmp_path / "lines.txt"
    path.write_text(LINES, encoding="utf-8")
    return TextData("lines", path=str(path), tokens=4, vocabulary=9)


def detokenize(dataset, level="words"):
    return corpus.detokenize(dataset.batch.real, dataset.vocabulary, level)


def test_sentences_become_tokens(lines, caplog):
    dataset = sources.load(dataclasses.replace(lines, split="all"))
    assert dataset.batch.real.dtype == np.uint16
    assert dataset.shape == (4, 9)
    last = "a <unknown> <unknown>"
    assert detokenize(dataset) == ["a cat's bed .", "a dog", "a cat", *["a dog"] * 6, last]
    assert "1 lines of more than 4 words left out" in caplog.text
    # The tenth sentence is the test split, so its words are not in the vocabulary.
    assert dataset.vocabulary == ("<end>", "<unknown>", "a", "dog", ".", "bed", "cat", "cat's", "")
    test = sources.load(dataclasses.replace(lines, split="test"))
    assert test.vocabulary == dataset.vocabulary
    assert test.batch.real.tolist() == [[2, corpus.UNKNOWN, corpus.UNKNOWN, corpus.END]]
    assert len(sources.load(lines)) == 9


def test_a_small_vocabulary_keeps_the_most_frequent_words(lines, caplog):
    dataset = sources.load(dataclasses.replace(lines, vocabulary=4))
    assert dataset.vocabulary == ("<end>", "<unknown>", "a", "dog")
    assert detokenize(dataset)[0] == "a <unknown> <unknown> <unknown>"
    assert "vocabulary has 2 of 6 words, 80.0 % of the text" in caplog.text


def test_a_separate_test_file(lines, tmp_path):
    (tmp_path / "test.txt").write_bytes("\ufeffa dog\r\na wolf\r\n".encode())
    data = dataclasses.replace(lines, test_path=str(tmp_path / "test.txt"))
    train, test = (sources.load(dataclasses.replace(data, split=s)) for s in ("train", "test"))
    assert len(train) == 10
    assert detokenize(test) == ["a dog", "a <unknown>"]


def test_running_text_is_split_into_windows(tmp_path):
    text = "a\\\nb" + "".join(chr(97 + i % 23) for i in range(86))
    (tmp_path / "a.txt").write_text(text, encoding="utf-8")
    data = TextData("running_text", path=str(tmp_path / "a.txt"), level="characters")
    data = dataclasses.replace(data, tokens=4, vocabulary=40)
    parts = {s: sources.load(dataclasses.replace(data, split=s)) for s in ("all", "train", "test")}
    windows = {name: detokenize(part, "characters") for name, part in parts.items()}
    assert windows["all"][0] == r"a\\\nb"
    assert "".join(windows["all"][1:]) == text[4:88]
    assert (len(windows["train"]), len(windows["test"])) == (20, 2)
    assert windows["train"] + windows["test"] == windows["all"]


def test_the_default_text_is_that_of_pythons_help():
    data = TextData("running_text", level="characters", tokens=50, vocabulary=128)
    dataset = sources.load(data)
    assert len(dataset) > 5000
    assert (dataset.batch.real != corpus.UNKNOWN).all()
    joined = "".join("".join(dataset.vocabulary[i] for i in row) for row in dataset.batch.real[:99])
    assert re.search(r'The "assert" statement', joined)


def test_the_fingerprint_depends_on_the_vocabulary(tmp_path):
    fingerprints = []
    for word in ("cat", "dog"):
        (tmp_path / "a.txt").write_text(f"{word}\n{word}\n")
        fingerprints.append(
            sources.load(TextData("lines", path=str(tmp_path / "a.txt"))).fingerprint
        )
    assert fingerprints[0] != fingerprints[1]


def test_networks_receive_one_hot_tokens(lines):
    config = small.config(data=lines)
    dataset = sources.load(lines)
    real = feeds.take_examples(config, dataset.batch, jnp.array([[0, 3]])).real
    assert real.dtype == jnp.float32
    np.testing.assert_array_equal(real, np.eye(9)[dataset.batch.real[[[0, 3]]]])
    assert sources.dummy_examples(dataset, 2).real.shape == (2, 4, 9)


def test_the_oracle_is_sampled_from_its_distribution(monkeypatch):
    monkeypatch.setattr(oracle, "EXAMPLES", 2000)
    data = TextData("oracle", tokens=5, vocabulary=30)
    train, test = (sources.load(dataclasses.replace(data, split=s)) for s in ("train", "test"))
    assert train.batch.real.shape == test.batch.real.shape == (2000, 5)
    assert train.fingerprint != test.fingerprint
    assert train.vocabulary == tuple(map(str, range(30)))
    frequencies = np.bincount(train.batch.real[:, 0], minlength=30) / 2000
    variables = oracle.oracle_variables(5, 30)
    # The first token is distributed like a sequence of one token.
    real = jnp.eye(30)[:, None]
    p = np.exp(
        lstm.oracle_generator(1, 30).apply(variables, real, train=False, method="log_likelihood")
    )
    assert p.sum() == pytest.approx(1, abs=1e-5)
    assert np.abs(frequencies - p).max() < 6 * np.sqrt(0.25 / 2000)  # six standard deviations


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file has no text"),
        (b" \n\t\n", "the file has no text"),
        (b"a cat\nna\xefve\n", "line 2 is not UTF-8 text"),
        (b"one two three four five\n", "no line has at most 4 words (data.tokens)"),
        (None, "there is no such file"),
        ("folder", "Is a directory"),
    ],
    ids=["empty", "blank", "latin-1", "long", "absent", "folder"],
)
def test_invalid_files_are_rejected(tmp_path, content, message):
    path = tmp_path / "a.txt"
    if content == "folder":
        path.mkdir()
    elif content is not None:
        path.write_bytes(content)
    small.refused(TextData("lines", path=str(path), tokens=4), str(path), message)


def test_invalid_fields_are_rejected(lines):
    small.refused(dataclasses.replace(lines, path=None), "needs --data.path")
    small.refused(dataclasses.replace(lines, split="valid"), "'valid'", "all, train, test")
    small.refused(dataclasses.replace(lines, test_path="/nowhere"), "/nowhere", "No such file")
    small.refused(dataclasses.replace(lines, test_path="~nobody-here/a"), "~nobody-here/a")
    small.refused(dataclasses.replace(lines, labels=True), "has no labels")
    small.refused(dataclasses.replace(lines, name="running_text", tokens=99), "at least 99", "got")
    small.refused(TextData("oracle", split="all"), "train, test")
    with pytest.raises(UserError, match="cannot be read"):
        corpus.load_vocabulary(Path("/nowhere"))
