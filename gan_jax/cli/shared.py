"""Arguments and checks shared by commands."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from gan_jax.core.command_line import Flat, Group

if TYPE_CHECKING:
    import jax

    from gan_jax.inference.generator import TrainedGenerator
    from gan_jax.inference.latent_space import LatentSpace


RunFolder = Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")]


__all__ = ["Flat", "Group"]


@dataclasses.dataclass(frozen=True)
class GeneratorArgs:
    """A trained generator."""

    run: RunFolder
    """Path to a run folder, or to a file written by `export`."""
    step: int | None = dataclasses.field(default=None, kw_only=True)
    """Step of the checkpoint; by default the newest one."""
    member: int | None = dataclasses.field(default=None, kw_only=True)
    """Index of the member of a population; by default 0."""


@dataclasses.dataclass(frozen=True)
class Output:
    """Output of a command."""

    out: Path
    """Path to the output file or folder."""
    force: bool = False
    """Overwrite the output if it exists."""


@dataclasses.dataclass(frozen=True)
class FeatureArgs:
    """Features by which images are compared."""

    features: str | None = None
    """Name of the features: classifier, inception, inception-768, pixels, or MODULE:FUNCTION."""
    weights: Path | None = None
    """Path to the weights of the Inception network, a file or a folder."""


def refuse_existing(force: bool, *paths: Path) -> None:
    """Raise UserError if one of the paths exists, unless `force`."""
    from gan_jax.core.errors import UserError

    for path in paths:
        if path.exists() and not force:
            raise UserError(f"{path} exists: use --force to overwrite it, or another --out")


def check_at_least(minimum: float, **values: float | None) -> None:
    """Raise UserError if a value is below `minimum`; None is allowed."""
    from gan_jax.core.errors import UserError

    for name, value in values.items():
        if value is not None and value < minimum:
            raise UserError(f"{name} must be at least {minimum}, got {value}")


def open_generator(
    generator: GeneratorArgs, space: Literal["z", "w"] | None, seed: int
) -> tuple["TrainedGenerator", "LatentSpace", "jax.Array"]:
    """Load a generator for a command that works in its latent space.

    Args:
        generator: Arguments that identify the generator.
        space: Latent space, z or w. None: w if the generator has one.
        seed: Seed of the key.

    Returns:
        The generator, its latent space, and the key of the command.
    """
    from gan_jax.core import keys
    from gan_jax.inference import latent_space, load

    key = keys.sample_key(seed)
    loaded = load.load_generator(generator.run, generator.step, generator.member)
    return loaded, latent_space.make_latent_space(loaded.config, loaded.variables, space), key


def save_image(image: Any, out: Path) -> None:
    """Save a Pillow image, and create its folder."""
    from gan_jax.core.errors import UserError

    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        image.save(out)
    except (OSError, ValueError) as error:
        raise UserError(f"{out} cannot be written: {error}") from None
