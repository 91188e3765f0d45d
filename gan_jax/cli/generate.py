"""Commands on generators: sample, interpolate, directions, synthesize, and export."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from gan_jax.cli.shared import (
    Flat,
    GeneratorArgs,
    Group,
    Output,
    check_at_least,
    open_generator,
    refuse_existing,
    save_image,
)

if TYPE_CHECKING:
    import jax
    import numpy as np

    from gan_jax.inference.latent_space import LatentSpace


EXPORT_SUFFIXES = (".jaxexport", ".safetensors")


@dataclasses.dataclass(frozen=True)
class SampleOutput:
    """Output of samples."""

    out: Path | None = None
    """Path to the output file; by default samples.png, or samples.txt for text. With the suffix
    .wav audio is written."""
    force: bool = False
    """Overwrite the output if it exists."""


def sample(
    generator: Group[GeneratorArgs],
    output: Flat[SampleOutput],
    num_samples: int = 64,
    seed: int = 0,
    temperature: float = 1.0,
) -> None:
    """Generate samples and write them as a grid of images, a WAV file, or lines of text.

    Args:
        generator: A trained generator.
        output: Output of samples.
        num_samples: Number of samples.
        seed: Random seed of the latents.
        temperature: Softmax temperature (text only).
    """
    from gan_jax.config import TextData
    from gan_jax.core import keys
    from gan_jax.core.errors import UserError
    from gan_jax.inference import load, sampling, text
    from gan_jax.reporting.formats import Context, format_of

    check_at_least(1, num_samples=num_samples)
    key = keys.sample_key(seed)
    loaded = load.load_generator(generator.run, generator.step, generator.member)
    config, variables = loaded.config, loaded.variables
    form = format_of(config)
    out = output.out or Path(f"samples{form.suffix}")
    refuse_existing(output.force, out)
    if isinstance(config.data, TextData):
        samples = text.sample(config, variables, key, num_samples, temperature)
    else:
        samples = form.sample(config, variables, key, num_samples)
    columns = min(num_samples, sampling.num_classes(config) or 8)
    context = Context(config, loaded.audio_format, loaded.vocabulary)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        form.write(samples, out, columns, context)
    except (OSError, ValueError) as error:
        raise UserError(f"{out} cannot be written: {error}") from None
    print(f"{out}: {num_samples} samples of {loaded.title}, seed {seed}")


def interpolate(
    generator: Group[GeneratorArgs],
    output: Flat[Output],
    num_pairs: int = 8,
    columns: int = 10,
    seed: int = 0,
    space: Literal["z", "w"] | None = None,
    truncation: float | None = None,
) -> None:
    """Interpolate between pairs of random latents and write a grid, one row for each pair.

    Normal z are interpolated spherically, uniform z and StyleGAN2's w linearly. All images of a row
    have the same class label.

    Args:
        generator: A trained generator.
        output: Output image file.
        num_pairs: Number of pairs of latents.
        columns: Number of images per row.
        seed: Random seed of the latents.
        space: Latent space; by default w if the generator has one, else z.
        truncation: Truncation psi of w, or truncation threshold of normal z.
    """
    from gan_jax.inference import interpolation
    from gan_jax.reporting import plots

    refuse_existing(output.force, output.out)
    check_at_least(1, num_pairs=num_pairs)
    check_at_least(2, columns=columns)
    loaded, latent_space, key = open_generator(generator, space, seed)
    if truncation is not None:
        latent_space = interpolation.truncate(latent_space, truncation)
    ends, labels = _sample_latents(latent_space, key, 2 * num_pairs)
    walks = interpolation.interpolate(
        ends[:num_pairs], ends[num_pairs:], columns, latent_space.distribution
    )
    save_image(plots.grid(_generate(latent_space, walks, labels), columns), output.out)
    print(f"{output.out}: {num_pairs} rows of {columns} images, {loaded.title}, seed {seed}")


def directions(
    generator: Group[GeneratorArgs],
    output: Flat[Output],
    method: Literal["pca", "sefa"] = "pca",
    num_directions: int = 8,
    columns: int = 9,
    extent: float = 3.0,
    seed: int = 0,
    space: Literal["z", "w"] | None = None,
) -> None:
    """Edit a sample along the most influential latent directions, one row for each direction.

    The directions are principal components of early activations (GANSpace), or eigenvectors of the
    first weight matrix (SeFa). All rows edit the same sample.

    Args:
        generator: A trained generator.
        output: Output image file.
        method: Method that finds the directions: pca (GANSpace) or sefa (SeFa).
        num_directions: Number of directions.
        columns: Number of images per row.
        extent: Maximum distance in both directions, in standard deviations of the latents.
        seed: Random seed of the latents.
        space: Latent space; by default w if the generator has one, else z.
    """
    import jax.numpy as jnp
    import numpy as np

    from gan_jax.core.errors import UserError
    from gan_jax.inference import directions as inference_directions
    from gan_jax.reporting import plots

    refuse_existing(output.force, output.out)
    check_at_least(1, num_directions=num_directions)
    check_at_least(2, columns=columns)
    if not 0 < extent < float("inf"):
        raise UserError(f"extent must be above 0 and finite, got {extent}")
    loaded, latent_space, key = open_generator(generator, space, seed)
    moves = inference_directions.find_directions(
        loaded.config, loaded.variables, latent_space, method, num_directions, key
    )
    start, labels = _sample_latents(latent_space, key, 1)
    t = np.linspace(-extent, extent, columns, dtype=np.float32)
    offsets = t[None, :, None] * (moves.scales[:, None] * moves.vectors)[:, None]
    pixels = _generate(latent_space, start[:, None] + jnp.asarray(offsets), labels)
    save_image(plots.grid(pixels, columns), output.out)
    strengths = " ".join(f"{strength:.3g}" for strength in moves.strengths)
    print(f"{output.out}: {method} of {loaded.title}, seed {seed}; strengths {strengths}")


def _sample_latents(space: "LatentSpace", key: "jax.Array", n: int) -> tuple["jax.Array", Any]:
    """Sample latents [n, d], and labels for a conditional generator.

    The labels of the second half repeat those of the first: both ends of a walk have one label.
    """
    import numpy as np

    from gan_jax.core import keys

    label = np.arange(n, dtype=np.int32) % max(n // 2, 1) % max(space.classes, 1)
    labels = label if space.classes else None
    return space.sample(keys.example_keys(key, n), labels), labels


def _generate(space: "LatentSpace", latents: "jax.Array", labels: Any) -> "np.ndarray":
    """Generate images uint8 [rows * columns, h, w, c] of latents [rows, columns, d].

    Row i has the label `labels[i]`, or the only label.
    """
    import jax
    import numpy as np

    from gan_jax.data.images import pixels as images_pixels

    rows, columns, _ = latents.shape
    generate = jax.jit(lambda generate, *inputs: generate(*inputs))
    images = []
    for i in range(rows):
        label = None if labels is None else np.full(columns, labels[i % len(labels)], np.int32)
        images.append(np.asarray(generate(space.generate, latents[i], label)))
    return images_pixels.to_pixels(np.concatenate(images), symmetric=False)


def synthesize(
    generator: Group[GeneratorArgs],
    output: Flat[Output],
    per_class: int = 1000,
    classes: tuple[int, ...] | None = None,
    format: Literal["npz", "png", "array_record"] = "npz",  # noqa: A002
    seed: int = 0,
) -> None:
    """Write samples of a class-conditional generator as a labeled data set for classifiers.

    The output folder has an npz file, one folder of PNG files per class, or array_record files for
    tensorflow-datasets; and samples.json, which records how the samples were generated.

    Args:
        generator: A trained generator.
        output: Output folder.
        per_class: Number of samples of each class.
        classes: Classes to sample; by default all.
        format: Format of the data set.
        seed: Random seed of the latents.
    """
    from gan_jax.inference import load, synthetic_dataset

    synthetic_dataset.check_output(output.out, format, force=output.force)
    loaded = load.load_generator(generator.run, generator.step, generator.member)
    count = synthetic_dataset.synthesize(
        loaded.config,
        loaded.variables,
        output.out,
        form=format,
        per_class=per_class,
        classes=classes,
        seed=seed,
        step=loaded.step,
        member=loaded.member,
        force=output.force,
    )
    print(f"{output.out}: {count} labeled samples of {loaded.title}, seed {seed}, as {format}")


def export(generator: Group[GeneratorArgs], output: Flat[Output]) -> None:
    """Export a generator (its moving average, if there is one) to a single file.

    FILE.jaxexport has the weights and the generator function, for any batch size, on CPU, CUDA, and
    TPU. It requires only jax, and the commands sample, synthesize, interpolate, directions, and
    invert accept it as RUN. FILE.safetensors has only the weights, with a model card in FILE.md.

    Args:
        generator: A trained generator.
        output: Output file FILE.jaxexport or FILE.safetensors.
    """
    from gan_jax.config import population
    from gan_jax.core.errors import UserError
    from gan_jax.inference import load
    from gan_jax.inference.export import manifest, safetensors, write
    from gan_jax.runs import folder

    out = output.out
    if out.suffix not in EXPORT_SUFFIXES:
        raise UserError(f"out must end in {' or '.join(EXPORT_SUFFIXES)}, got {str(out)!r}")
    is_safetensors = out.suffix == ".safetensors"
    refuse_existing(output.force, out, *([out.with_suffix(".md")] if is_safetensors else []))
    config = folder.load_config(generator.run)
    if population.is_population(config) and generator.member is None:
        last = len(population.member_configs(config)) - 1
        raise UserError(
            f"member must be from 0 to {last} for the population {generator.run}, got none"
        )
    loaded = load.load_generator(generator.run, generator.step, generator.member)
    description = manifest.make_manifest(generator.run, loaded)
    if is_safetensors:
        files = f"{out}, {safetensors.save_safetensors(out, loaded, description)}"
    else:
        write.write_artifact(out, loaded, description)
        files = str(out)
    size = out.stat().st_size / 2**20
    print(f"{files}: the generator of {loaded.config.name}, {loaded.title}; {size:.1f} MiB")
