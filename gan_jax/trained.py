"""A generator to use, wherever it lies: in a run folder, or in an artefact of gan_jax/export/."""

from pathlib import Path
from typing import Any, NamedTuple

from gan_jax import run
from gan_jax.config import Config
from gan_jax.data import text
from gan_jax.data.sounds import Sound
from gan_jax.errors import UserError
from gan_jax.restore import restore_member
from gan_jax.state import Batch, generator_variables


class Trained(NamedTuple):
    """A generator as commands use it."""

    config: Config
    """Of the member; of an artefact with a generator that applies the exported functions."""
    variables: Any
    """Of the moving average, where there is one."""
    step: int
    """Train steps it has done."""
    member: int | None
    """Its number in a population; None: of no population."""
    example: Batch
    """What one example of the data looks like to a network: zeros [1, ...]."""
    sound: Sound | None
    """How examples are heard; None where they are no sounds."""
    vocabulary: tuple[str, ...]
    """Of texts, else ()."""

    @property
    def title(self) -> str:
        """`step 1000`, with the member."""
        return f"step {self.step}" + ("" if self.member is None else f", member {self.member}")


def load(path: Path, step: int | None = None, member: int | None = None) -> Trained:
    """The generator of a run folder's newest checkpoint, or that of `step`, of a population the
    first member or number `member`; or of the artefact `path`.

    Raises UserError if there is none; and if a step or a member is asked for of an artefact, which
    is one generator.
    """
    if path.is_file():
        from gan_jax.export import portable  # which gives back what is above

        for name, asked in (("step", step), ("member", member)):
            if asked is not None:
                raise UserError(f"{name} is {asked}: {path} is one generator, of no other {name}")
        return portable.load(path)
    step, member, config, state = restore_member(path, step, member)
    vocabulary = text.load_vocabulary(path) if (path / "vocabulary.json").exists() else ()
    if vocabulary and len(vocabulary) != config.data.vocabulary:
        raise UserError(
            f"{path / 'vocabulary.json'} has {len(vocabulary)} entries, the run "
            f"{config.data.vocabulary}"
        )
    return Trained(
        config,
        generator_variables(state),
        step,
        member,
        run.load_example(path, 1),
        run.load_sound(path),
        vocabulary,
    )
