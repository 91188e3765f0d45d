"""Deferred handling of SIGINT and SIGTERM."""

import contextlib
import signal
from collections.abc import Iterator
from typing import Any


@contextlib.contextmanager
def catch_signals() -> Iterator[list[int]]:
    """Collect the numbers of SIGINT and SIGTERM instead of stopping at once.

    A second signal that is SIGINT raises KeyboardInterrupt. Outside the main thread nothing is
    collected.

    Yields:
        The signals received so far, in order.
    """
    received: list[int] = []

    def record(number: int, _: Any) -> None:
        if received and number == signal.SIGINT:
            raise KeyboardInterrupt
        received.append(number)

    try:
        before = {n: signal.signal(n, record) for n in (signal.SIGINT, signal.SIGTERM)}
    except ValueError:  # Python delivers signals to the main thread only
        before = {}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
