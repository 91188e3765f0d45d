"""A walk through a run's latents, as frames: several ways side by side, a picture of each."""

from pathlib import Path
from typing import Any

import jax
import numpy as np

from gan_jax.core import keys
from gan_jax.core.errors import UserError
from gan_jax.data.images import pixels as images_pixels
from gan_jax.inference import interpolation, latent_space, load, sampling
from gan_jax.inference.generator import TrainedGenerator
from gan_jax.metrics.features import preprocess
from gan_jax.reporting import audio, plots
from gan_jax.reporting.html import media

FRAMES = 25
WAYS = 8


def make_latent_walk(workdir: Path, room: int) -> dict[str, Any]:
    """Frames of about `room` characters in all, from random latents to others, of the newest
    checkpoint's moving average and of a population's first member.

    Raises UserError where there is no checkpoint, or a generator that is given more than noise and
    labels, or tokens.
    """
    found = load.load_generator(workdir)
    config = found.config
    if config.prior.distribution == "key":
        raise UserError(
            f"{config.name} draws its noise itself: there is nothing between its samples"
        )
    latent_space.refuse_conditions(config)
    if len(found.example.real.shape) == 2:
        raise UserError(f"{config.name} makes points")
    made = _made(found)  # [frames, ways, ...]
    if found.audio_format:
        waves = preprocess.waveforms(made.reshape(-1, *made.shape[2:]), found.audio_format)
        pixels = audio.audio_images(waves, found.audio_format.rate)
    else:
        pixels = images_pixels.to_pixels(
            made.reshape(-1, *made.shape[2:]), symmetric=config.data.symmetric
        )
    pixels = pixels.reshape(*made.shape[:2], *pixels.shape[1:])
    images = [plots.grid(frame, WAYS // 2) for frame in pixels]
    limit = room // len(images)
    size = {"width": images[0].width, "height": images[0].height}
    frames = [media.image_address(image, limit)[0] for image in images]
    member = "" if found.member is None else " of the first member"
    return {"frames": frames, "ways": WAYS, "title": f"Step {found.step}{member}", **size}


def _made(found: TrainedGenerator) -> np.ndarray:
    """Examples float32 [FRAMES, WAYS, ...] as the data has them."""
    config, variables = found.config, found.variables
    root = keys.step_key(keys.root_key(config.seed), keys.Purpose.SAMPLE, 0)
    labels = sampling.cycled_labels(config, WAYS)
    own = keys.example_keys(root, 2 * WAYS)
    mapped = config.gen.latent is not None
    if mapped:
        space = latent_space.make_latent_space(config, variables)
        both = None if labels is None else np.concatenate([labels, labels])
        ends, law = space.draw(own, both), space.distribution
    else:
        ends = keys.latents(own, config.prior.dim, config.prior.distribution)
        law = "uniform" if config.prior.distribution == "uniform" else "normal"
    along = interpolation.interpolate(ends[:WAYS], ends[WAYS:], FRAMES, law)

    @jax.jit
    def frame(variables: Any, latents: jax.Array) -> jax.Array:
        if mapped:
            return latent_space.synthesize_from_w(config.gen, variables, latents, labels)
        made: Any = config.gen.apply(variables, latents, labels, train=False)
        return made

    frames = [np.asarray(frame(variables, along[:, i]), np.float32) for i in range(FRAMES)]
    return np.stack(frames)
