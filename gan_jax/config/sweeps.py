"""Sweeps over a numeric field of the config."""

import dataclasses
from typing import Annotated

import tyro

from gan_jax.core.errors import UserError


@dataclasses.dataclass(frozen=True)
class Sweep:
    """A field and its values: one axis of a sweep."""

    field: str
    """Dotted flag name of the field, such as gen_opt.lr."""
    values: tuple[float, ...]
    """Values of the field."""

    def __str__(self):
        """Return the words that `parse` reads."""
        return " ".join([self.field, *map(str, self.values)])


def parse(words: list[str]) -> Sweep:
    """Parse the name and the values of a swept field. Raises UserError if a word is wrong.

    Example:
        >>> parse(["gen-opt.lr", "1e-4", "2e-4"])
        Sweep(field='gen_opt.lr', values=(0.0001, 0.0002))
    """
    if len(words) < 2:
        raise UserError(f"sweep must be a field and its values, got {' '.join(words)!r}")
    try:
        return Sweep(words[0].replace("-", "_"), tuple(map(float, words[1:])))
    except ValueError:
        raise UserError(f"sweep values must be numbers, got {' '.join(words)!r}") from None


# A flag that may be repeated, once for each field.
Sweeps = Annotated[
    tuple[
        Annotated[
            Sweep,
            tyro.constructors.PrimitiveConstructorSpec(
                nargs="*",
                metavar="FIELD VALUE VALUE ...",
                instance_from_str=parse,
                is_instance=lambda value: isinstance(value, Sweep),
                str_from_instance=lambda sweep: str(sweep).split(),
            ),
        ],
        ...,
    ],
    tyro.conf.UseAppendAction,
]
