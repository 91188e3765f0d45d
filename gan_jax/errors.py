"""The one exception that a user's mistake raises."""


class UserError(ValueError):
    """A mistake that the user can mend: its message is one line with the value and what is allowed.

    Commands print it as `error: ...` and leave with status 2; from a notebook it is a ValueError.
    """

    def __init__(self, message: str):
        super().__init__(" ".join(message.split()))
