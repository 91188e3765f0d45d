"""Texts as tokens: sentences of a file, windows of a running text, and back to what can be read.

An example is a row of `data.tokens` tokens, uint16: numbers into a vocabulary of `data.vocabulary`
entries, of which END fills a short sentence up and UNKNOWN stands for all that is not among the
others, the most frequent tokens of the whole training part.
"""

import logging
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from gan_jax.config import TextData
from gan_jax.core.errors import UserError
from gan_jax.core.files import read_json
from gan_jax.data.images import files

END, UNKNOWN = 0, 1
SPECIAL = ("<end>", "<unknown>")
SPLITS = ("all", "train", "test")
EVERY = 10  # one in ten is for the test, where that has no file of its own
WORD = re.compile(r"\w+(?:'\w+)*|[^\w\s]")
log = logging.getLogger(__name__)


def tokenize(text: str, level: str) -> list[str]:
    """Words, with apostrophes inside them, and every other mark that is not blank by itself; or
    characters."""
    return list(text) if level == "characters" else WORD.findall(text)


def _read(path: Path, shown: str) -> str:
    """The file's text. Raises UserError where it is not there or not UTF-8, or holds nothing but
    blanks."""
    try:
        raw = path.expanduser().read_bytes()
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise UserError(f"{shown}: line {line} is not UTF-8 text") from None
    except (OSError, RuntimeError) as error:  # RuntimeError: ~ of an unknown user
        raise UserError(f"{shown}: {getattr(error, 'strerror', error)}") from None
    if not text.strip():
        raise UserError(f"{shown}: there is no text in it")
    return text


def _of_python() -> str:
    """The help texts that every Python installation carries; each version has its own."""
    from pydoc_data.topics import topics

    return "\n\n".join(text for _, text in sorted(topics.items()))


def _sentences(data: TextData, text: str, shown: str) -> list[list[str]]:
    """Lines that are not blank, as tokens; those of more than data.tokens are left out."""
    lines = [tokenize(line.strip(), data.level) for line in text.splitlines() if line.strip()]
    kept = [line for line in lines if len(line) <= data.tokens]
    if not kept:
        raise UserError(f"{shown}: no line has at most {data.tokens} {data.level} (data.tokens)")
    if len(kept) < len(lines):
        left = len(lines) - len(kept)
        log.warning(
            "%s: %d lines of more than %d %s left out", shown, left, data.tokens, data.level
        )
    return kept


def _windows(data: TextData, text: str, shown: str) -> list[list[str]]:
    """The text cut into examples of data.tokens tokens; what is left at its end is left out."""
    whole = tokenize(text.replace("\r\n", "\n"), data.level)
    starts = range(0, len(whole) - data.tokens + 1, data.tokens)
    if not starts:
        allowed = f"fewer than data.tokens, {data.tokens}"
        raise UserError(f"{shown}: {len(whole)} {data.level} are in it, {allowed}")
    return [whole[start : start + data.tokens] for start in starts]


def _parts(data: TextData) -> tuple[list[list[str]], list[list[str]]]:
    """The training part, and the part that `data.split` names."""
    cut = _sentences if data.name == "lines" else _windows
    if data.path is None and data.name == "running_text":
        found = cut(data, _of_python(), "pydoc_data.topics")
    else:
        shown = f"data.path is {data.path!r}"
        found = cut(data, _read(files.require_path(data), shown), shown)
    if data.test_path is not None:
        shown = f"data.test_path is {data.test_path!r}"
        test = cut(data, _read(Path(data.test_path), shown), shown)
        train = found
    elif data.name == "lines":
        test = found[EVERY - 1 :: EVERY]
        train = [line for i, line in enumerate(found) if i % EVERY != EVERY - 1]
    else:  # neighbours are alike: the end of the text is the test
        end = len(found) - len(found) // EVERY
        train, test = found[:end], found[end:]
    return train, {"all": found, "train": train, "test": test}[data.split]


def read(data: TextData) -> tuple[np.ndarray, tuple[str, ...]]:
    """The examples uint16 [n, data.tokens] of `data.split` (all, train or test), and the
    vocabulary, of data.vocabulary entries; empty ones stand for no token.

    `lines` has a sentence in each line of a UTF-8 file; of its lines one in ten is the test, unless
    there is a data.test_path. `running_text` is cut into windows, of which the last tenth is the
    test; without a data.path it is Python's own help. Vocabularies are of the training part alone,
    the more frequent tokens first. Raises UserError where there is no such file, or no text in it.
    """
    if data.split not in SPLITS:
        raise UserError(f"data.split is {data.split!r}: a text has {', '.join(SPLITS)}")
    train, chosen = _parts(data)
    if not chosen:
        raise UserError(f"data set {data.name!r} holds no examples in its split {data.split!r}")
    count = Counter(token for line in train for token in line)
    ranked = sorted(count, key=lambda token: (-count[token], token))
    kept = ranked[: data.vocabulary - len(SPECIAL)]
    if len(kept) < len(ranked):
        covered = 100 * sum(count[token] for token in kept) / count.total()
        what = (len(kept), len(ranked), data.level, covered)
        log.warning("vocabulary of %d of %d %s, which are %.1f %% of the text", *what)
    number = {token: i for i, token in enumerate(kept, len(SPECIAL))}
    rows = np.full((len(chosen), data.tokens), END, np.uint16)
    for row, line in zip(rows, chosen, strict=True):
        row[: len(line)] = [number.get(token, UNKNOWN) for token in line]
    entries = (*SPECIAL, *kept)
    return rows, (*entries, *[""] * (data.vocabulary - len(entries)))


def one_hot(rows: jax.Array, vocabulary: int) -> jax.Array:
    """Tokens uint16 [..., t] as networks see them: float32 [..., t, vocabulary]. Arrays of another
    dtype as they are."""
    return jax.nn.one_hot(rows, vocabulary) if rows.dtype == jnp.uint16 else rows


def sentences(rows: np.ndarray, vocabulary: Sequence[str]) -> list[list[int]]:
    """Rows [n, t] up to the first END, in a vocabulary that has one."""
    if vocabulary[END] != SPECIAL[END]:
        return rows.tolist()
    return [row[: row.index(END)] if END in row else row for row in rows.tolist()]


def detokenize(rows: np.ndarray, vocabulary: Sequence[str], level: str) -> list[str]:
    """Rows [n, t] as a line each: words with blanks between them, or characters, of which those
    that end a line are written as a backslash and a letter."""
    blank = "" if level == "characters" else " "
    lines = [blank.join(vocabulary[i] for i in row) for row in sentences(rows, vocabulary)]
    return [line.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r") for line in lines]


def load_vocabulary(workdir: Path) -> tuple[str, ...]:
    """The vocabulary that a run was trained with. Raises UserError where there is none."""
    path = workdir / "vocabulary.json"
    found = read_json(path)
    if not isinstance(found, list) or not found or not all(isinstance(one, str) for one in found):
        raise UserError(f"{path} cannot be read: it is no list of tokens")
    return tuple(found)
