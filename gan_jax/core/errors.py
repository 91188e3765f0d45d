"""The exception for user errors, and parts of its messages."""

import difflib
from collections.abc import Iterable


class UserError(ValueError):
    """An error that the user can fix: one line with the value and the allowed values.

    Commands print it as `error: ...` and exit with status 2. In a notebook it is a ValueError.
    """

    def __init__(self, message: str):
        """Join the lines of `message` into one."""
        super().__init__(" ".join(message.split()))


def reason(error: BaseException) -> str:
    r"""Return an exception's message on one line, or the name of its type if it has none.

    Example:
        >>> reason(OSError("disk\n full")), reason(KeyError())
        ('disk full', 'KeyError')
    """
    return " ".join(str(error).split()) or type(error).__name__


def suggestion(word: str, words: Iterable[str]) -> str:
    """Return ` (did you mean ...?)` with the word closest to `word`, or an empty string.

    Example:
        >>> "no such loss" + suggestion("hindge", ["hinge", "minimax"])
        "no such loss (did you mean 'hinge'?)"
    """
    close = difflib.get_close_matches(word, list(words), n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""
