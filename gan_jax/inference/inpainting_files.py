"""`gan-jax inpaint`: a user's own pictures, of any size, repaired where a mask says."""

import functools
import logging
import re
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import jax
import numpy as np
from PIL import Image, ImageOps

from gan_jax.core import keys
from gan_jax.core.errors import UserError
from gan_jax.core.progress import tqdm
from gan_jax.data.images import files
from gan_jax.data.images import pixels as images_pixels
from gan_jax.inference import inpainting
from gan_jax.runs.folder import load_example
from gan_jax.runs.restore import restore_member
from gan_jax.training.state import generator_variables

log = logging.getLogger(__name__)
Fit = Literal["resize", "tiles"]
# Pictures uint8 [h, w, c] with holes bool [h, w, 1], the key -> the picture repaired.
Repair = Callable[[np.ndarray, np.ndarray, jax.Array], np.ndarray]


def load_mask(path: Path, root: Path, mask: str) -> np.ndarray:
    """Where the picture file is to be repaired, bool [h, w, 1], by `mask`: a folder of black and
    white pictures of the same names (white: repair), a colour #rrggbb that marks the holes in the
    pictures themselves, or `alpha`, their transparent pixels. Raises ValueError where there is no
    mask, or an unreadable one."""
    if mask == "alpha":
        with Image.open(path) as picture:
            upright = ImageOps.exif_transpose(picture)  # as the picture itself is read
            return np.asarray(upright.convert("RGBA"))[..., 3:] == 0
    if re.fullmatch("#[0-9a-fA-F]{6}", mask):
        colour = np.frombuffer(bytes.fromhex(mask[1:]), np.uint8)
        return (images_pixels.decode(path, 3) == colour).all(-1, keepdims=True)
    place = Path(mask) / path.relative_to(root)
    same = [place, *(place.with_suffix(suffix) for suffix in sorted(files.SUFFIXES))]
    found = [one for one in same if one.is_file()]
    if not found:
        raise ValueError(f"there is no mask of it, {place}")
    return images_pixels.decode(found[0], 1) > 127


def inpaint_resized(
    picture: np.ndarray, hole: np.ndarray, key: jax.Array, side: int, fill: Repair
) -> np.ndarray:
    """A picture of any size repaired at `side` pixels: made square by repeating its edges, brought
    to that size without letting the hole into what is known, and only its hole taken back."""
    height, width, channels = picture.shape
    cut = max(height, width)
    up, left = (cut - height) // 2, (cut - width) // 2
    around = ((up, cut - height - up), (left, cut - width - left), (0, 0))
    square, open_ = np.pad(picture, around, "edge"), np.pad(hole, around, "edge")
    small, lost = _shrink(np.where(open_, 0, square), open_, side)
    if lost.all():
        raise ValueError(f"nothing of it is known at {side} x {side} pixels")
    made = fill(small, lost, key)
    large = [
        Image.fromarray(made[..., c]).resize((cut, cut), Image.Resampling.BICUBIC)
        for c in range(channels)
    ]
    made = np.stack([np.asarray(one) for one in large], -1)[up : up + height, left : left + width]
    return np.where(hole, made, picture)


def _shrink(picture: np.ndarray, hole: np.ndarray, side: int) -> tuple[np.ndarray, np.ndarray]:
    """A square picture and its hole at `side` pixels: each pixel the mean of those that it covers,
    and lost where one of these is."""

    def boxed(plane: np.ndarray) -> np.ndarray:
        image = Image.fromarray(plane.astype(np.float32))
        return np.asarray(image.resize((side, side), Image.Resampling.BOX))

    lost = boxed(hole[..., 0])[..., None] > 1e-6
    planes = [boxed(picture[..., c]) for c in range(picture.shape[-1])]
    return np.rint(np.clip(np.stack(planes, -1), 0, 255)).astype(np.uint8), lost


def inpaint_tiled(
    picture: np.ndarray, hole: np.ndarray, key: jax.Array, side: int, fill: Repair
) -> np.ndarray:
    """A picture at its own size repaired tile by tile, each of `side` pixels: always that one next
    of which most is known, with what the ones before it filled in."""
    height, width = picture.shape[:2]
    if min(height, width) < side:
        raise ValueError(f"it is {width} x {height}, smaller than a tile of {side} x {side}")
    picture, hole = picture.copy(), hole.copy()
    tops, lefts = (
        sorted({*range(0, length - side, max(side // 2, 1)), length - side})
        for length in (height, width)
    )
    while hole.any():
        cuts = [np.s_[top : top + side, left : left + side] for top in tops for left in lefts]
        cuts = [cut for cut in cuts if hole[cut].any()]
        best = min(cuts, key=lambda cut: int(hole[cut].sum()))
        if hole[best].all():
            raise ValueError("nothing around its hole is known")
        key = jax.random.fold_in(key, 1)
        picture[best] = fill(picture[best], hole[best], key)
        hole[best] = False
    return picture


def _places(found: list[Path], source: Path, out: Path, count: int) -> list[list[Path]]:
    """Where the `count` repairs of each picture go. Raises UserError where two go to one place."""
    numbers = [f"_{r + 1}" for r in range(count)] if count > 1 else [""]
    places, owner = [], {}
    for path in found:
        stem = (out / path.relative_to(source)).with_suffix("")
        places.append([stem.with_name(f"{stem.name}{number}.png") for number in numbers])
        for place in places[-1]:
            if (other := owner.setdefault(place, path)) != path:
                raise UserError(f"repairs of {other} and of {path} would both be {place}")
    return places


def _write(places: list[Path], images: list[np.ndarray]) -> None:
    """Writes each image to its place. Raises UserError if one cannot be written."""
    for place, pixels in zip(places, images, strict=True):
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels).save(place)
        except OSError as error:
            raise UserError(f"{place} cannot be written: {error.strerror}") from None


def _check(source: Path, out: Path, mask: str, count: int, force: bool) -> None:
    if count < 1:
        raise UserError(f"num_samples must be at least 1, got {count}")
    if not source.is_dir():
        raise UserError(f"{source} is not a folder")
    if mask != "alpha" and not re.fullmatch("#[0-9a-fA-F]{6}", mask) and not Path(mask).is_dir():
        raise UserError(f"mask is {mask!r}: it must be a folder, a colour #rrggbb, or alpha")
    if out.exists() and not force and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"{out} exists: give --force to overwrite what is in it, or another --out")


def inpaint_folder(
    run: Path,
    source: Path,
    out: Path,
    mask: str,
    *,
    count: int = 1,
    seed: int = 0,
    member: int | None = None,
    step: int | None = None,
    fit: Fit = "resize",
    force: bool = False,
) -> tuple[int, int]:
    """Repairs all pictures below `source` into `out`, as PNG under the same names, with _1, _2, ...
    where `count` repairs of each are asked for. Returns how many were repaired, of how many.

    Pictures are read as a run's own are (gan_jax/data/images/pixels.py). What cannot be repaired is
    named in the log and left out: broken files, masks that lack or are of another size, pictures of
    which nothing is known; one without a hole is written as it is. Raises UserError where nothing
    can be done at all, where two pictures (a.png and a.jpg) would go to one place, and where `out`
    holds files already, unless `force`.
    """
    _check(source, out, mask, count, force)
    key, found, done = keys.sample_key(seed), files.find_files(source), 0
    places = _places(found, source, out, count)
    _, _, config, state = restore_member(run, step, member)
    inpainting.require_inpainting(config)
    if config.data.labels:
        raise UserError(f"{config.name} is conditioned on labels too: repair from Python")
    side, channels = load_example(run, 1).real.shape[2:]
    variables = generator_variables(state)

    def fill(picture: np.ndarray, hole: np.ndarray, key: jax.Array) -> np.ndarray:
        return inpainting.inpaint(config, variables, key, picture[None], hole[None])[0, 0]

    sized = functools.partial(
        inpaint_resized if fit == "resize" else inpaint_tiled, side=side, fill=fill
    )
    for i, path in enumerate(tqdm(found, unit="picture", disable=None)):
        own = jax.random.fold_in(key, i)
        try:
            picture, hole = images_pixels.decode(path, channels), load_mask(path, source, mask)
            if hole.shape[:2] != picture.shape[:2]:
                sizes = [f"{w} x {h}" for h, w in (hole.shape[:2], picture.shape[:2])]
                raise ValueError(f"its mask is {sizes[0]}, the picture {sizes[1]}")
            if hole.all():
                raise ValueError("nothing of it is known: its mask is all white")
            if not hole.any():
                log.warning("%s has no hole: it is written as it is", path)
            one = fill if picture.shape[:2] == (side, side) else sized
            again = [jax.random.fold_in(own, r) for r in range(count)]
            made = [one(picture, hole, key=k) if hole.any() else picture for k in again]
        except UserError:
            raise
        except Exception as error:  # Pillow's readers raise kinds of their own
            log.warning("left out %s: %s", path, " ".join(str(error).split()))
            continue
        _write(places[i], made)
        done += 1
    if not done:
        raise UserError(f"{source} holds no picture that could be repaired ({len(found)} tried)")
    return done, len(found)
