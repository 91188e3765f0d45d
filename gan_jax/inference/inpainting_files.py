"""Inpainting of image files of any size: `gan-jax inpaint`."""

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
# (image uint8 [h, w, c], mask bool [h, w, 1], key) -> inpainted image
Inpaint = Callable[[np.ndarray, np.ndarray, jax.Array], np.ndarray]
_COLOR = "#[0-9a-fA-F]{6}"


def load_mask(path: Path, root: Path, mask: str) -> np.ndarray:
    """Load the mask of an image file.

    Args:
        path: Image file.
        root: Folder of the images.
        mask: Folder of black and white images with the same names (white is inpainted), a color
            #rrggbb that marks masked pixels in the images themselves, or "alpha" for transparent
            pixels.

    Returns:
        Pixels to inpaint, bool [h, w, 1].

    Raises:
        ValueError: If there is no mask, or it cannot be read.
    """
    if mask == "alpha":
        with Image.open(path) as image:
            upright = ImageOps.exif_transpose(image)  # as the image itself is read
            return np.asarray(upright.convert("RGBA"))[..., 3:] == 0
    if re.fullmatch(_COLOR, mask):
        color = np.frombuffer(bytes.fromhex(mask[1:]), np.uint8)
        return (images_pixels.decode(path, 3) == color).all(-1, keepdims=True)
    expected = Path(mask) / path.relative_to(root)
    candidates = [expected, *(expected.with_suffix(suffix) for suffix in sorted(files.SUFFIXES))]
    existing = [candidate for candidate in candidates if candidate.is_file()]
    if not existing:
        raise ValueError(f"it has no mask {expected}")
    return images_pixels.decode(existing[0], 1) > 127


def inpaint_resized(
    image: np.ndarray, mask: np.ndarray, key: jax.Array, side: int, fill: Inpaint
) -> np.ndarray:
    """Inpaint an image of any size at the generator's resolution.

    The image is padded to a square by repeating its edges and reduced to `side` pixels, without
    mixing masked pixels into known ones. Only the masked pixels of the enlarged result are used.

    Args:
        image: Image, uint8 [h, w, c].
        mask: Pixels to inpaint, bool [h, w, 1].
        key: PRNG key.
        side: Side of the generator's images, in pixels.
        fill: Function that inpaints an image of that size.

    Returns:
        The inpainted image, uint8 [h, w, c].

    Raises:
        ValueError: If no pixel is known at the reduced size.
    """
    height, width, channels = image.shape
    padded = max(height, width)
    top, left = (padded - height) // 2, (padded - width) // 2
    padding = ((top, padded - height - top), (left, padded - width - left), (0, 0))
    square, square_mask = np.pad(image, padding, "edge"), np.pad(mask, padding, "edge")
    small, small_mask = _shrink(np.where(square_mask, 0, square), square_mask, side)
    if small_mask.all():
        raise ValueError(f"no pixel of it is known at {side} x {side} pixels")
    filled = fill(small, small_mask, key)
    planes = [
        Image.fromarray(filled[..., c]).resize((padded, padded), Image.Resampling.BICUBIC)
        for c in range(channels)
    ]
    enlarged = np.stack([np.asarray(plane) for plane in planes], -1)
    return np.where(mask, enlarged[top : top + height, left : left + width], image)


def _shrink(image: np.ndarray, mask: np.ndarray, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Box-filter a square image and its mask; a pixel is masked if it covers any masked pixel."""

    def box_filter(plane: np.ndarray) -> np.ndarray:
        reduced = Image.fromarray(plane.astype(np.float32))
        return np.asarray(reduced.resize((side, side), Image.Resampling.BOX))

    small_mask = box_filter(mask[..., 0])[..., None] > 1e-6
    planes = [box_filter(image[..., c]) for c in range(image.shape[-1])]
    return np.rint(np.clip(np.stack(planes, -1), 0, 255)).astype(np.uint8), small_mask


def inpaint_tiled(
    image: np.ndarray, mask: np.ndarray, key: jax.Array, side: int, fill: Inpaint
) -> np.ndarray:
    """Inpaint an image of any size at its own resolution, tile by tile.

    The tile with the fewest masked pixels is next; results of earlier tiles count as known.

    Args:
        image: Image, uint8 [h, w, c].
        mask: Pixels to inpaint, bool [h, w, 1].
        key: PRNG key.
        side: Side of a tile, in pixels.
        fill: Function that inpaints an image of that size.

    Returns:
        The inpainted image, uint8 [h, w, c].

    Raises:
        ValueError: If the image is smaller than a tile, or a tile has no known pixel.
    """
    height, width = image.shape[:2]
    if min(height, width) < side:
        raise ValueError(f"it is {width} x {height}, smaller than a tile of {side} x {side}")
    image, mask = image.copy(), mask.copy()
    tops, lefts = (
        sorted({*range(0, length - side, max(side // 2, 1)), length - side})
        for length in (height, width)
    )
    while mask.any():
        tiles = [np.s_[top : top + side, left : left + side] for top in tops for left in lefts]
        tiles = [tile for tile in tiles if mask[tile].any()]
        best = min(tiles, key=lambda tile: int(mask[tile].sum()))
        if mask[best].all():
            raise ValueError("no pixel around its masked pixels is known")
        key = jax.random.fold_in(key, 1)
        image[best] = fill(image[best], mask[best], key)
        mask[best] = False
    return image


def _output_paths(inputs: list[Path], source: Path, out: Path, count: int) -> list[list[Path]]:
    """Return the output files of each image. Raises UserError if two images share one."""
    suffixes = [f"_{r + 1}" for r in range(count)] if count > 1 else [""]
    outputs, owner = [], {}
    for path in inputs:
        stem = (out / path.relative_to(source)).with_suffix("")
        outputs.append([stem.with_name(f"{stem.name}{suffix}.png") for suffix in suffixes])
        for output in outputs[-1]:
            if (other := owner.setdefault(output, path)) != path:
                raise UserError(f"results of {other} and of {path} would both be {output}")
    return outputs


def _write(paths: list[Path], images: list[np.ndarray]) -> None:
    for path, pixels in zip(paths, images, strict=True):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels).save(path)
        except OSError as error:
            raise UserError(f"{path} cannot be written: {error.strerror}") from None


def _check(source: Path, out: Path, mask: str, count: int, force: bool) -> None:
    if count < 1:
        raise UserError(f"num_samples must be at least 1, got {count}")
    if not source.is_dir():
        raise UserError(f"{source} is not a folder")
    if mask != "alpha" and not re.fullmatch(_COLOR, mask) and not Path(mask).is_dir():
        raise UserError(f"mask must be a folder, a color #rrggbb or alpha, got {mask!r}")
    if out.exists() and not force and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"{out} exists: give --force to overwrite its files, or another --out")


def _load_image_and_mask(
    path: Path, source: Path, mask: str, channels: int
) -> tuple[np.ndarray, np.ndarray]:
    """Load an image and its mask. Raises ValueError if they do not match, or all is masked."""
    image, image_mask = images_pixels.decode(path, channels), load_mask(path, source, mask)
    if image_mask.shape[:2] != image.shape[:2]:
        sizes = [f"{w} x {h}" for h, w in (image_mask.shape[:2], image.shape[:2])]
        raise ValueError(f"its mask is {sizes[0]}, the image {sizes[1]}")
    if image_mask.all():
        raise ValueError("no pixel of it is known: its mask is all white")
    return image, image_mask


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
    """Inpaint all images of a folder, and write them as PNG files under the same names.

    Images are read as those of a data set are (gan_jax/data/images/pixels.py). Images that cannot
    be inpainted are logged and left out: broken files, missing masks or masks of another size,
    images without a known pixel. An image without masked pixels is copied.

    Args:
        run: Run folder of a generator that was trained with masks.
        source: Folder of images, searched recursively.
        out: Folder to write.
        mask: Masks: a folder, a color #rrggbb, or "alpha"; see `load_mask`.
        count: Number of results for each image, numbered _1, _2, ... if more than one.
        seed: Seed of the latents.
        member: Member of a population.
        step: Step of the checkpoint; the newest by default.
        fit: How other sizes are treated: "resize" the whole image, or work in "tiles".
        force: Write into a folder that holds files.

    Returns:
        Number of images written, and number of images found.

    Raises:
        UserError: If no image can be inpainted, the outputs of two images (a.png and a.jpg) would
            have one name, or `out` holds files and `force` is false.
    """
    _check(source, out, mask, count, force)
    key, inputs, done = keys.sample_key(seed), files.find_files(source), 0
    outputs = _output_paths(inputs, source, out, count)
    _, _, config, state = restore_member(run, step, member)
    inpainting.require_inpainting(config)
    if config.data.labels:
        raise UserError(f"{config.name} is also conditioned on labels: inpaint from Python")
    side, channels = load_example(run, 1).real.shape[2:]
    variables = generator_variables(state)

    def fill(image: np.ndarray, mask: np.ndarray, key: jax.Array) -> np.ndarray:
        return inpainting.inpaint(config, variables, key, image[None], mask[None])[0, 0]

    fit_and_fill = functools.partial(
        inpaint_resized if fit == "resize" else inpaint_tiled, side=side, fill=fill
    )
    for i, path in enumerate(tqdm(inputs, unit="image", disable=None)):
        image_key = jax.random.fold_in(key, i)
        try:
            image, image_mask = _load_image_and_mask(path, source, mask, channels)
            if not image_mask.any():
                log.warning("%s has no masked pixel: it is copied", path)
            inpaint = fill if image.shape[:2] == (side, side) else fit_and_fill
            result_keys = [jax.random.fold_in(image_key, r) for r in range(count)]
            images = [
                inpaint(image, image_mask, key=result_key) if image_mask.any() else image
                for result_key in result_keys
            ]
        except UserError:
            raise
        except Exception as error:  # Pillow's readers raise errors of many types
            log.warning("left out %s: %s", path, " ".join(str(error).split()))
            continue
        _write(outputs[i], images)
        done += 1
    if not done:
        raise UserError(f"{source} has no image that can be inpainted ({len(inputs)} tried)")
    return done, len(inputs)
