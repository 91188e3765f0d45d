"""Progress of a run: a bar in a terminal or notebook, plain lines otherwise."""

import sys
import time
import warnings

from tqdm import TqdmWarning

with warnings.catch_warnings():  # in a notebook without ipywidgets, where the bar is plain text
    warnings.simplefilter("ignore", TqdmWarning)
    from tqdm.auto import tqdm


class Progress:
    """Steps done, examples per second, latest losses, and remaining time, on stderr."""

    def __init__(self, done: int, total: int, examples_per_step: int, *, quiet: bool = False):
        """Open the bar.

        Args:
            done: Number of steps before this launch.
            total: Number of steps of the run.
            examples_per_step: Number of examples of a step, for the rate.
            quiet: Show nothing.
        """
        self._plain = not quiet and not sys.stderr.isatty() and "ipykernel" not in sys.modules
        self._bar = tqdm(
            total=total, initial=done, unit="step", disable=quiet or self._plain, dynamic_ncols=True
        )
        self._done = done
        self._total, self._examples = total, examples_per_step
        self._since: tuple[int, float] | None = None
        self._due = 0.0

    def update(self, steps: int, losses: dict[str, float]) -> None:
        """Add `steps` finished steps and show the losses.

        A plain line is printed at the first call, then every ten seconds. The rate excludes the
        first call, which includes compilation.
        """
        self._done += steps
        now = time.monotonic()
        text = " ".join(f"{name} {value:.3f}" for name, value in losses.items())
        if self._since is None:
            self._since, speed = (self._done, now), "compiled"
        else:
            rate = (self._done - self._since[0]) / max(now - self._since[1], 1e-9)
            left = (self._total - self._done) / rate
            speed = f"{rate * self._examples:.0f} examples/s, {left:.0f} s left"
        self._bar.set_postfix_str(f"{speed}, {text}", refresh=False)
        self._bar.update(steps)
        if self._plain and (now >= self._due or self._done == self._total):
            print(f"step {self._done}/{self._total}, {speed}, {text}", file=sys.stderr, flush=True)
            self._due = now + 10

    def close(self) -> None:
        """Close the bar and leave it on the screen."""
        self._bar.close()
