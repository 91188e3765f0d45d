"""Arguments and checks that commands share."""

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
    """Run folder, or a file written by `export`."""
    step: int | None = dataclasses.field(default=None, kw_only=True)
    """Step of the checkpoint; the newest by default."""
    member: int | None = dataclasses.field(default=None, kw_only=True)
    """Number of the member of a population; 0 by default."""


@dataclasses.dataclass(frozen=True)
class Output:
    """Where a command writes."""

    out: Path
    """File or folder to write."""
    force: bool = False
    """Overwrite the output if it exists."""


@dataclasses.dataclass(frozen=True)
class FeatureArgs:
    """Features that images are compared by."""

    features: str | None = None
    """classifier, inception, inception-768, pixels, or your own MODULE:FUNCTION."""
    weights: Path | None = None
    """Weights of the Inception network: file or folder."""


def refuse_existing(force: bool, *paths: Path) -> None:
    """Raise UserError if one of the paths exists, unless `force`."""
    from gan_jax.core.errors import UserError

    for path in paths:
        if path.exists() and not force:
            raise UserError(f"{path} exists: give --force to overwrite it, or another --out")


def check_at_least(least: float, **values: float | None) -> None:
    """Raise UserError if a flag that is given is below its least value."""
    from gan_jax.core.errors import UserError

    for name, value in values.items():
        if value is not None and value < least:
            raise UserError(f"{name} must be at least {least}, got {value}")


def open_generator(
    generator: GeneratorArgs, space: Literal["z", "w"] | None, seed: int
) -> tuple["TrainedGenerator", "LatentSpace", "jax.Array"]:
    """Return the generator, its latent space, and the command's key.

    Args:
        generator: Where the generator lies.
        space: "z", "w", or None for w where the generator has one.
        seed: Seed of the key.
    """
    from gan_jax.core import keys
    from gan_jax.inference import latent_space, load

    key = keys.sample_key(seed)
    loaded = load.load_generator(generator.run, generator.step, generator.member)
    return loaded, latent_space.make_latent_space(loaded.config, loaded.variables, space), key


def save_image(image: Any, out: Path) -> None:
    """Write a Pillow image, making its folder."""
    from gan_jax.core.errors import UserError

    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        image.save(out)
    except (OSError, ValueError) as error:
        raise UserError(f"out is {str(out)!r}: {error}") from None
