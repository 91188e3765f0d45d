"""python -m gan_jax interpolate and directions, and what commands on latents share.

Nothing heavy is imported before a command is called.
"""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import jax
    import numpy as np

    from gan_jax.latent_space import Space
    from gan_jax.trained import Trained

Command = Callable[..., argparse.ArgumentParser]


def interpolate(args: argparse.Namespace) -> None:
    """A grid of ways between random latents, a row each: normal z along great circles, uniform z
    and StyleGAN2's w on straight lines. Both ends of a way have its label."""
    from gan_jax import editing, plots

    refuse_existing(args, args.out)
    at_least(args, num=1, columns=2)
    found, space, key = opened(args)
    if args.truncation is not None:
        space = editing.truncated(space, args.truncation)
    ends, labels = _drawn(space, key, 2 * args.num)
    ways = editing.interpolate(ends[: args.num], ends[args.num :], args.columns, space.law)
    pixels = _made(space, ways, labels)
    _save(args, plots.grid(pixels, args.columns))
    print(
        f"{args.out}: {args.num} ways of {args.columns} pictures, {found.title}, seed {args.seed}"
    )


def directions(args: argparse.Namespace) -> None:
    """A grid of pictures moved along the directions that change them most, a row each, from
    -EXTENT to EXTENT standard deviations of the latents: principal components of early activations
    (GANSpace), or eigenvectors of the first weight (SeFa). All rows move the same picture."""
    import jax.numpy as jnp
    import numpy as np

    from gan_jax import editing, plots
    from gan_jax.errors import UserError

    refuse_existing(args, args.out)
    at_least(args, num=1, columns=2)
    if not 0 < args.extent < float("inf"):
        raise UserError(f"extent is {args.extent}: it must be above 0")
    run, space, key = opened(args)
    found = editing.directions(run.config, run.variables, space, args.method, args.num, key)
    start, labels = _drawn(space, key, 1)
    t = np.linspace(-args.extent, args.extent, args.columns, dtype=np.float32)
    moves = t[None, :, None] * (found.scales[:, None] * found.vectors)[:, None]
    pixels = _made(space, start[:, None] + jnp.asarray(moves), labels)
    _save(args, plots.grid(pixels, args.columns))
    listed = " ".join(f"{strength:.3g}" for strength in found.strengths)
    print(f"{args.out}: {args.method} of {run.title}, seed {args.seed}; strengths {listed}")


def refuse_existing(args: argparse.Namespace, *paths: Path) -> None:
    """Raises UserError where one of the files exists, unless --force is given."""
    from gan_jax.errors import UserError

    for path in paths:
        if path.exists() and not args.force:
            raise UserError(f"{path} exists: give --force to overwrite it, or another --out")


def at_least(args: argparse.Namespace, **least: int) -> None:
    """Raises UserError where a flag is below its least value."""
    from gan_jax.errors import UserError

    for name, number in least.items():
        if getattr(args, name) < number:
            raise UserError(f"{name} is {getattr(args, name)}: it must be at least {number}")


def opened(args: argparse.Namespace) -> tuple["Trained", "Space", "jax.Array"]:
    """The run's or the artefact's generator and its latent space, and the command's key."""
    from gan_jax import keys, latent_space, trained

    key = keys.sample_key(args.seed)
    found = trained.load(args.run, args.step, args.member)
    space = latent_space.space(found.config, found.variables, args.space)
    return found, space, key


def _drawn(space: "Space", key: "jax.Array", n: int) -> tuple["jax.Array", Any]:
    """Latents [n, d] of n keys, and their labels: those of the first half again in the second, so
    that a way has one."""
    import numpy as np

    from gan_jax import keys

    label = np.arange(n, dtype=np.int32) % max(n // 2, 1) % max(space.classes, 1)
    labels = label if space.classes else None
    return space.draw(keys.example_keys(key, n), labels), labels


def _made(space: "Space", latents: "jax.Array", labels: Any) -> "np.ndarray":
    """Pictures of latents [rows, columns, d], uint8 [rows columns, h, w, c]; row i has labels[i],
    or the only label."""
    import jax
    import numpy as np

    from gan_jax import plots

    rows, columns, _ = latents.shape
    generate = jax.jit(lambda generate, *inputs: generate(*inputs))
    made = []
    for i in range(rows):
        label = None if labels is None else np.full(columns, labels[i % len(labels)], np.int32)
        made.append(np.asarray(generate(space.generate, latents[i], label)))
    return plots.to_pixels(np.concatenate(made), symmetric=False)


def _save(args: argparse.Namespace, image: Any) -> None:
    from gan_jax.errors import UserError

    try:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        image.save(args.out)
    except (OSError, ValueError) as error:
        raise UserError(f"out is {str(args.out)!r}: {error}") from None


def common(
    command: Command,
    function: Callable,
    help: str,  # noqa: A002
    out: str,
) -> argparse.ArgumentParser:
    """The parser of a command, with the flags that these commands share."""
    one = command(function, help, of="run folder, or an artefact of `export`")
    one.add_argument("--out", type=Path, required=True, help=out)
    one.add_argument("--seed", type=int, default=0, help="of the noise (default 0)")
    one.add_argument("--space", choices=("z", "w"), help="of latents (default: w, if any)")
    one.add_argument("--member", type=int, help="of which member of a population (default 0)")
    one.add_argument("--step", type=int, help="of which checkpoint (default: the newest)")
    one.add_argument("--force", action="store_true", help="overwrite --out")
    return one


def add(command: Command) -> None:
    """Adds the commands: `command(function, help)` makes the parser of one, with the run folder."""
    one = common(command, interpolate, "pictures on the way between latents", "picture file")
    one.add_argument("--num", type=int, default=8, help="ways (default 8)")
    one.add_argument("--columns", type=int, default=10, help="pictures a way (default 10)")
    one.add_argument("--truncation", type=float, help="psi of w, or threshold of normal z")
    one = common(command, directions, "pictures moved along found directions", "picture file")
    one.add_argument("--method", choices=("pca", "sefa"), default="pca", help="default: pca")
    one.add_argument("--num", type=int, default=8, help="directions (default 8)")
    one.add_argument("--columns", type=int, default=9, help="pictures a direction (default 9)")
    one.add_argument("--extent", type=float, default=3.0, help="in standard deviations (3)")
