"""Latent walk of a report: frames of images along several paths at once."""

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
PATHS = 8


def make_latent_walk(workdir: Path, room: int) -> dict[str, Any]:
    """Render a walk between random latents of the newest checkpoint (first member).

    Args:
        workdir: Run folder.
        room: Approximate number of characters for all frames.

    Returns:
        Frames, number of paths, title and size, ready for JSON.

    Raises:
        UserError: If there is no checkpoint, or the generator is conditioned on more than labels,
            or generates points or texts.
    """
    generator = load.load_generator(workdir)
    config = generator.config
    if config.prior.distribution == "key":
        raise UserError(f"{config.name} has no latents to interpolate: its network takes keys")
    latent_space.refuse_conditions(config)
    if len(generator.example.real.shape) == 2:
        raise UserError(f"{config.name} generates points")
    samples = _samples(generator)  # [frames, paths, ...]
    examples = samples.reshape(-1, *samples.shape[2:])
    if generator.audio_format:
        waves = preprocess.waveforms(examples, generator.audio_format)
        pixels = audio.audio_images(waves, generator.audio_format.rate)
    else:
        pixels = images_pixels.to_pixels(examples, symmetric=config.data.symmetric)
    pixels = pixels.reshape(*samples.shape[:2], *pixels.shape[1:])
    images = [plots.grid(frame, PATHS // 2) for frame in pixels]
    limit = room // len(images)
    size = {"width": images[0].width, "height": images[0].height}
    frames = [media.image_address(image, limit)[0] for image in images]
    member = "" if generator.member is None else ", first member"
    return {"frames": frames, "paths": PATHS, "title": f"Step {generator.step}{member}", **size}


def _samples(generator: TrainedGenerator) -> np.ndarray:
    """Generate examples, float32 [FRAMES, PATHS, ...], in the range of the network."""
    config, variables = generator.config, generator.variables
    root = keys.step_key(keys.root_key(config.seed), keys.Purpose.SAMPLE, 0)
    labels = sampling.cycled_labels(config, PATHS)
    example_keys = keys.example_keys(root, 2 * PATHS)
    has_w = config.gen.latent is not None
    if has_w:
        space = latent_space.make_latent_space(config, variables)
        end_labels = None if labels is None else np.concatenate([labels, labels])
        ends, distribution = space.sample(example_keys, end_labels), space.distribution
    else:
        ends = keys.latents(example_keys, config.prior.dim, config.prior.distribution)
        distribution = "uniform" if config.prior.distribution == "uniform" else "normal"
    latents = interpolation.interpolate(ends[:PATHS], ends[PATHS:], FRAMES, distribution)

    @jax.jit
    def generate(variables: Any, latents: jax.Array) -> jax.Array:
        if has_w:
            return latent_space.synthesize_from_w(config.gen, variables, latents, labels)
        examples: Any = config.gen.apply(variables, latents, labels, train=False)
        return examples

    frames = [np.asarray(generate(variables, latents[:, i]), np.float32) for i in range(FRAMES)]
    return np.stack(frames)
