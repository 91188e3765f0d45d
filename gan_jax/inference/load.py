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
    path: Path | str, step: int | None = None, member: int | None = None
) -> TrainedGenerator:
    """Load a trained generator.

    Args:
        path: Run folder, or a file written by `gan-jax export`.
        step: Step of the checkpoint; the newest by default.
        member: Number of the member of a population; the first by default.

    Returns:
        The generator.

    Raises:
        UserError: If there is none, or a step or member is requested of an exported file, which
            holds one generator.
    """
    path = Path(path)
    if path.is_file():
        from gan_jax.inference.export import artifact  # imports this package's other modules

        for name, number in (("step", step), ("member", member)):
            if number is not None:
                raise UserError(f"{name} must be omitted: {path} is one generator, got {number}")
        return artifact.load(path)
    step, member, config, state = restore_member(path, step, member)
    vocabulary = corpus.load_vocabulary(path) if (path / "vocabulary.json").exists() else ()
    if isinstance(config.data, TextData) and len(vocabulary) != config.data.vocabulary:
        raise UserError(
            f"{path / 'vocabulary.json'} must have {config.data.vocabulary} entries, "
            f"got {len(vocabulary)}"
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
