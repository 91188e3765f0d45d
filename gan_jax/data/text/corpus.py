"""Tokenized text data sets: the lines of a file, or windows of a running text.

An example is a row of `data.tokens` tokens, uint16 indices into a vocabulary of `data.vocabulary`
entries. END pads a short sentence. UNKNOWN stands for all tokens that are not in the vocabulary,
which has the most frequent tokens of the complete training split.
"""

import logging
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Shaped, UInt16

from gan_jax.config import TextData
from gan_jax.core.errors import UserError
from gan_jax.core.files import read_json
from gan_jax.data.images import files

END, UNKNOWN = 0, 1
SPECIAL = ("<end>", "<unknown>")
SPLITS = ("all", "train", "test")
TEST_EVERY = 10  # one line in ten is in the split `test` without data.test_path
WORD = re.compile(r"\w+(?:'\w+)*|[^\w\s]")
log = logging.getLogger(__name__)


def tokenize(text: str, level: str) -> list[str]:
    """Split a text into words and punctuation marks, or into characters.

    Args:
        text: The text.
        level: `words` or `characters`. Words may contain apostrophes.

    Example:
        >>> tokenize("a cat's bed.", "words")
        ['a', "cat's", 'bed', '.']
    """
    return list(text) if level == "characters" else WORD.findall(text)


def _read(path: Path, source: str) -> str:
    """Read a UTF-8 file; errors begin with `source`."""
    try:
        raw = path.expanduser().read_bytes()
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise UserError(f"{source}: line {line} is not UTF-8 text") from None
    except (OSError, RuntimeError) as error:  # RuntimeError: ~ of an unknown user
        raise UserError(f"{source}: {getattr(error, 'strerror', error)}") from None
    if not text.strip():
        raise UserError(f"{source}: the file has no text")
    return text


def _python_help() -> str:
    """Return the help texts of the Python installation, which depend on its version."""
    from pydoc_data.topics import topics

    return "\n\n".join(text for _, text in sorted(topics.items()))


def _sentences(data: TextData, text: str, source: str) -> list[list[str]]:
    """Tokenize the lines of a text; blank and too long lines are left out."""
    lines = [tokenize(line.strip(), data.level) for line in text.splitlines() if line.strip()]
    short = [line for line in lines if len(line) <= data.tokens]
    if not short:
        raise UserError(f"{source}: no line has at most {data.tokens} {data.level} (data.tokens)")
    if len(short) < len(lines):
        count = len(lines) - len(short)
        log.warning(
            "%s: %d lines of more than %d %s left out", source, count, data.tokens, data.level
        )
    return short


def _windows(data: TextData, text: str, source: str) -> list[list[str]]:
    """Tokenize a text and cut it into windows; an incomplete last window is left out."""
    tokens = tokenize(text.replace("\r\n", "\n"), data.level)
    starts = range(0, len(tokens) - data.tokens + 1, data.tokens)
    if not starts:
        raise UserError(
            f"{source}: the text must have at least {data.tokens} {data.level} (data.tokens), got "
            f"{len(tokens)}"
        )
    return [tokens[start : start + data.tokens] for start in starts]


def _parts(data: TextData) -> tuple[list[list[str]], list[list[str]]]:
    """Return the examples of the split `train`, and of `data.split`."""
    cut = _sentences if data.name == "lines" else _windows
    if data.path is None and data.name == "running_text":
        examples = cut(data, _python_help(), "pydoc_data.topics")
    else:
        source = f"data.path is {data.path!r}"
        examples = cut(data, _read(files.require_path(data), source), source)
    if data.test_path is not None:
        source = f"data.test_path is {data.test_path!r}"
        test = cut(data, _read(Path(data.test_path), source), source)
        train = examples
    elif data.name == "lines":
        test = examples[TEST_EVERY - 1 :: TEST_EVERY]
        train = [line for i, line in enumerate(examples) if i % TEST_EVERY != TEST_EVERY - 1]
    else:  # neighboring windows are alike, so the test is the end of the text
        end = len(examples) - len(examples) // TEST_EVERY
        train, test = examples[:end], examples[end:]
    return train, {"all": examples, "train": train, "test": test}[data.split]


def read(
    data: TextData,
) -> tuple[UInt16[np.ndarray, "n {data.tokens}"], tuple[str, ...]]:
    """Load the examples and the vocabulary of a text data set.

    The set `lines` has a sentence in each line of a UTF-8 file. One line in ten is in the split
    `test`, unless data.test_path is set. The set `running_text` is cut into windows, of which the
    last tenth is the split `test`. Without data.path it is the help of Python. The vocabulary is
    that of the split `train`, in the order of descending frequency.

    Args:
        data: Path and options of the data set.

    Returns:
        Examples uint16 [n, data.tokens], and a vocabulary of data.vocabulary entries, of which
        unused ones are empty.

    Raises:
        UserError: If a file is absent, is not UTF-8, or has no text.
    """
    if data.split not in SPLITS:
        raise UserError(f"data.split must be one of {', '.join(SPLITS)}, got {data.split!r}")
    train, chosen = _parts(data)
    if not chosen:
        raise UserError(f"data set {data.name!r} has no examples in its split {data.split!r}")
    count = Counter(token for line in train for token in line)
    ranked = sorted(count, key=lambda token: (-count[token], token))
    frequent = ranked[: data.vocabulary - len(SPECIAL)]
    if len(frequent) < len(ranked):
        share = 100 * sum(count[token] for token in frequent) / count.total()
        log.warning(
            "the vocabulary has %d of %d %s, %.1f %% of the text",
            *(len(frequent), len(ranked), data.level, share),
        )
    number = {token: i for i, token in enumerate(frequent, len(SPECIAL))}
    rows = np.full((len(chosen), data.tokens), END, np.uint16)
    for row, line in zip(rows, chosen, strict=True):
        row[: len(line)] = [number.get(token, UNKNOWN) for token in line]
    entries = (*SPECIAL, *frequent)
    return rows, (*entries, *[""] * (data.vocabulary - len(entries)))


def one_hot(rows: Shaped[Array | np.ndarray, "*rows"], vocabulary: int) -> Any:
    """Convert tokens to one-hot vectors, the input of networks.

    Args:
        rows: Tokens uint16 [..., t]. Arrays of another dtype are returned unchanged.
        vocabulary: Number of entries of the vocabulary.

    Returns:
        One-hot vectors float32 [..., t, vocabulary].

    Example:
        >>> one_hot(jnp.array([[0, 2]], jnp.uint16), 3).tolist()
        [[[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]]
    """
    return jax.nn.one_hot(rows, vocabulary) if rows.dtype == jnp.uint16 else rows


def sentences(rows: np.ndarray, vocabulary: Sequence[str]) -> list[list[int]]:
    """Cut rows [n, t] before the first END, if the vocabulary has it."""
    if vocabulary[END] != SPECIAL[END]:
        return rows.tolist()
    return [row[: row.index(END)] if END in row else row for row in rows.tolist()]


def detokenize(rows: np.ndarray, vocabulary: Sequence[str], level: str) -> list[str]:
    """Convert rows of tokens to lines of text.

    Args:
        rows: Tokens [n, t].
        vocabulary: Entries of the vocabulary.
        level: `words`, which are joined by blanks, or `characters`.

    Returns:
        A line for each row, in which backslashes and line breaks are escaped.

    Example:
        >>> detokenize(np.array([[2, 3, 0]]), ("<end>", "<unknown>", "a", "cat"), "words")
        ['a cat']
    """
    blank = "" if level == "characters" else " "
    lines = [blank.join(vocabulary[i] for i in row) for row in sentences(rows, vocabulary)]
    return [line.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r") for line in lines]


def load_vocabulary(workdir: Path) -> tuple[str, ...]:
    """Load the vocabulary of a run folder.

    Raises:
        UserError: If it is absent or damaged.
    """
    path = workdir / "vocabulary.json"
    tokens = read_json(path)
    if not isinstance(tokens, list) or not tokens:
        raise UserError(f"{path} cannot be read: it must be a list of tokens")
    if not all(isinstance(token, str) for token in tokens):
        raise UserError(f"{path} cannot be read: tokens must be strings")
    return tuple(tokens)
