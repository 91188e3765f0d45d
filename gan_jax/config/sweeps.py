"""A number of the config that takes several values: one axis of a sweep."""

import dataclasses
from typing import Annotated

import tyro

from gan_jax.core.errors import UserError


@dataclasses.dataclass(frozen=True)
class Sweep:
    """The field, by dotted name as in config.json, and the values that it takes."""

    field: str
    values: tuple[float, ...]

    def __str__(self):
        return " ".join([self.field, *map(str, self.values)])


def parse(words: list[str]) -> Sweep:
    """`gen-opt.lr 1e-4 2e-4`. Raises UserError on anything else."""
    if len(words) < 2:
        raise UserError(f"sweep {' '.join(words)!r}: it must be a field and its values")
    try:
        return Sweep(words[0].replace("-", "_"), tuple(map(float, words[1:])))
    except ValueError:
        raise UserError(f"sweep {' '.join(words)!r}: the values must be numbers") from None


# What tyro makes of it: a flag that may be given once for each field.
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
