"""Live display of a training in a Jupyter notebook: losses and the newest samples."""

import sys
import time
from typing import Any

from gan_jax.reporting.run import Run
from gan_jax.training.hooks import Chunk, Hook
from gan_jax.training.state import TrainState

FIRST_SECONDS = 2.0  # time before the first drawing
SHARE = 0.05  # of the training time, at most, that drawing takes


def in_notebook() -> bool:
    """Return whether this process is the kernel of a notebook."""
    if "IPython" not in sys.modules:
        return False
    shell = sys.modules["IPython"].get_ipython()
    return shell is not None and getattr(shell, "kernel", None) is not None


class NotebookDisplay(Hook):
    """Shows the run below the cell that trains it, and redraws it in place.

    Drawing takes at most about `SHARE` of the time: after a drawing of `t` seconds the next one
    waits `t / SHARE` seconds.
    """

    def __init__(self, run: Run):
        self._run = run
        self._handle: Any = None
        self._next = time.monotonic() + FIRST_SECONDS

    def on_chunk(self, chunk: Chunk) -> None:  # noqa: ARG002
        if time.monotonic() >= self._next:
            self._draw()

    def on_end(self, state: TrainState, *, stopped: bool) -> None:  # noqa: ARG002
        self._draw()

    def _draw(self) -> None:
        from IPython.display import HTML, display

        began = time.monotonic()
        page = HTML(self._run._repr_html_())
        if self._handle is None:
            self._handle = display(page, display_id=True)
        else:
            self._handle.update(page)
        now = time.monotonic()
        self._next = now + (now - began) / SHARE
