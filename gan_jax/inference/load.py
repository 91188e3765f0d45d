"""Loads a trained generator from a run folder or an exported file."""

from pathlib import Path

from gan_jax.config import TextData
from gan_jax.core.errors import UserError
from gan_jax.data.text import corpus
from gan_jax.inference.generator import TrainedGenerator
from gan_jax.runs import folder
from gan_jax.runs.restore import restore_member
from gan_jax.training.state import generator_variables


def load_generator(
    path: Path, step: int | None = None, member: int | None = None
) -> TrainedGenerator:
    """The generator of a run folder's newest checkpoint, or that of `step`, of a population the
    first member or number `member`; or of the artefact `path`.

    Raises UserError if there is none; and if a step or a member is asked for of an artefact, which
    is one generator.
    """
    if path.is_file():
        from gan_jax.inference.export import artifact  # which gives back what is above

        for name, asked in (("step", step), ("member", member)):
            if asked is not None:
                raise UserError(f"{name} is {asked}: {path} is one generator, of no other {name}")
        return artifact.load(path)
    step, member, config, state = restore_member(path, step, member)
    vocabulary = corpus.load_vocabulary(path) if (path / "vocabulary.json").exists() else ()
    if isinstance(config.data, TextData) and len(vocabulary) != config.data.vocabulary:
        raise UserError(
            f"{path / 'vocabulary.json'} has {len(vocabulary)} entries, the run "
            f"{config.data.vocabulary}"
        )
    return TrainedGenerator(
        config,
        generator_variables(state),
        step,
        member,
        folder.load_example(path, 1),
        folder.load_audio_format(path),
        vocabulary,
    )
