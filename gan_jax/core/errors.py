"""The one exception that a user's mistake raises, and the words that go into it."""

import difflib
from collections.abc import Iterable


class UserError(ValueError):
    """A mistake that the user can mend: its message is one line with the value and what is allowed.

    Commands print it as `error: ...` and leave with status 2; from a notebook it is a ValueError.
    """

    def __init__(self, message: str):
        super().__init__(" ".join(message.split()))


def reason(error: BaseException) -> str:
    """What an error of another library says, on one line; its kind where it says nothing."""
    return " ".join(str(error).split()) or type(error).__name__


def suggestion(word: str, words: Iterable[str]) -> str:
    """` (did you mean ...?)` where one of the words is close, else nothing."""
    close = difflib.get_close_matches(word, list(words), n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""
