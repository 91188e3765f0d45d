"""The configuration of a run.

`Config` determines the numbers, `Runtime` the execution, and `Logging` the files.
"""

import dataclasses
from typing import Annotated, Any, ClassVar, Literal

import flax.linen as nn
import tyro

from gan_jax.config.schedules import Value, is_off
from gan_jax.config.sweeps import Sweeps
from gan_jax.networks.interface import Discriminator, Generator

OptimizerName = Literal["adam", "optimistic_adam", "rmsprop", "sgd"]
Distribution = Literal["normal", "uniform", "key"]
DiffAugmentation = Literal["color", "translation", "cutout"]
MaskKind = Literal["box", "half", "strokes", "random"]
ADA_GROUPS = ("blit", "geometry", "color", "cutout")


@dataclasses.dataclass(frozen=True)
class Data:
    """Options of all types of data. A config has one of the subclasses."""

    name: str
    """Name of the data set."""
    split: str = "train"
    """Split: train, test, or all of the digits; any TFDS split; the prefix of idx files."""
    path: str | None = None
    """Path to the data set, for data sets in files."""
    dir: str | None = None
    """Path to the TFDS data directory. Defaults to $TFDS_DATA_DIR, then ~/tensorflow_datasets."""
    labels: bool = False
    """Condition the networks on class labels."""
    per_class: int = 0
    """Number of random examples of each class; 0 uses all. With one seed, a smaller subset is
    contained in every larger one."""
    subset_seed: int = 0
    """Random seed of the subset that per_class selects."""
    symmetric: ClassVar[bool] = False
    """Range of the examples: [-1, 1] if True, else [0, 1]."""
    cond: ClassVar[tuple[str, ...]] = ()
    """Names of arrays, other than labels, on which the networks are conditioned."""


@dataclasses.dataclass(frozen=True)
class ImageData(Data):
    """Images: digits, stacked_mnist, folder, npz, idx, prepared, or any TFDS data set on disk."""

    name: str = "digits"
    size: int | None = None
    """Side in pixels to which images are cropped and resized; None keeps their size."""
    channels: Literal[1, 3] | None = None
    """Number of channels: 1 converts to gray, 3 to RGB; None keeps that of the data (folder: 3)."""
    cond: tuple[str, ...] = ()  # pyright: ignore[reportIncompatibleVariableOverride]
    """Names of arrays of an npz file on which the networks are conditioned: uint8 images
    [n, h, w, c], or numbers [n] or [n, d], in addition to labels."""
    symmetric: bool = False  # pyright: ignore[reportIncompatibleVariableOverride]
    """Scale pixels to [-1, 1] (tanh generators) instead of [0, 1] (sigmoid generators)."""


@dataclasses.dataclass(frozen=True)
class PointData(Data):
    """Points in the plane, from the Gaussian mixtures ring and grid."""

    name: str = "ring"


@dataclasses.dataclass(frozen=True)
class AudioData(Data):
    """Audio: spoken_digit, spoken_digit_speakers, tones, or sounds (a folder of files)."""

    name: str = "tones"
    length: int | None = None
    """Number of audio samples of an example. Longer recordings are cut, shorter ones are padded
    with zeros. Defaults to 8192 (tones: 2048)."""
    rate: int | None = None
    """Sample rate in Hz to which audio is resampled; None keeps that of the data set."""
    normalize: bool = False
    """Scale each recording to a peak of 1."""
    spectrogram: bool = False
    """Use SpecGAN's spectrograms (128 frames, 128 frequencies) instead of waveforms."""
    symmetric: ClassVar[bool] = True


@dataclasses.dataclass(frozen=True)
class TextData(Data):
    """Sequences of tokens: lines, running_text, or oracle."""

    name: str = "running_text"
    test_path: str | None = None
    """Path to the file of the split test, if it is separate."""
    level: Literal["words", "characters"] = "words"
    """Unit of a token: words or characters."""
    tokens: int = 32
    """Number of tokens of an example. Shorter sentences are padded, longer ones omitted."""
    vocabulary: int = 128
    """Size of the vocabulary: end of sentence, unknown, and the most frequent tokens."""


PATH_DATASETS = ("folder", "npz", "idx", "prepared", "sounds", "lines")  # read from `path`


def with_data_dir(data: Data, folder: str | None) -> Data:
    """Return a copy that reads the data set from `folder`; None keeps its location."""
    if folder is None:
        return data
    field = "path" if data.path or data.name in PATH_DATASETS else "dir"
    return dataclasses.replace(data, **{field: folder})


def without_location(data: Data) -> Data:
    """Return a copy without the location of the data set, which fingerprints identify."""
    location = {"path", "test_path", "dir"} & {field.name for field in dataclasses.fields(data)}
    return dataclasses.replace(data, **dict.fromkeys(location))


@dataclasses.dataclass(frozen=True)
class Optimizer:
    """Settings of an optimizer."""

    name: OptimizerName = "adam"
    """Name of the algorithm."""
    lr: Value = 2e-4
    """Learning rate."""
    b1: float = 0.5
    """Decay rate beta1 of Adam; momentum of rmsprop and sgd."""
    b2: Value = 0.999
    """Decay rate beta2 of Adam; decay rate of rmsprop."""
    eps: float = 1e-8
    """Constant epsilon of Adam and rmsprop, added to the denominator."""


@dataclasses.dataclass(frozen=True)
class Pretrain:
    """Pretraining of the generator without a discriminator.

    Sequence generators maximize the likelihood; other generators minimize the L1 reconstruction
    loss.
    """

    steps: int = 0
    """Number of pretraining steps, included in `steps`; 0 disables pretraining. Schedules count
    from the first pretraining step."""
    opt: Optimizer = Optimizer(lr=1e-2, b1=0.9)
    """Optimizer of pretraining, with the same algorithm as gen_opt."""
    clip: float = 5.0
    """Maximum norm of the gradient; 0 disables clipping."""


@dataclasses.dataclass(frozen=True)
class Penalties:
    """Weights of the gradient penalties of the discriminator; 0 disables a penalty."""

    r1: Value = 0.0
    """Weight gamma of gamma/2 E|grad f(real)|^2."""
    r2: Value = 0.0
    """Weight gamma of gamma/2 E|grad f(fake)|^2."""
    gradient_penalty: Value = 0.0
    """Weight of the two-sided gradient penalty of WGAN-GP."""
    one_sided: Value = 0.0
    """Weight of the one-sided (Lipschitz) gradient penalty."""
    dragan: Value = 0.0
    """Weight of the DRAGAN penalty."""


@dataclasses.dataclass(frozen=True)
class Objective:
    """Losses and regularization of both networks."""

    loss: str = "non_saturating"
    """Name of the adversarial loss, a key of gan_jax.losses.adversarial.LOSSES."""
    label_smoothing: float = 0.0
    """Amount by which the label of real examples is below 1 (minimax and non_saturating only)."""
    penalties: Penalties = Penalties()
    """Weights of the gradient penalties of the discriminator."""
    penalty_every: int = 1
    """Number of discriminator updates per gradient penalty, which is multiplied by this number
    (lazy regularization of StyleGAN2)."""
    path_length: Value = 0.0
    """Weight of the path length regularization of StyleGAN2 generators."""
    path_length_every: int = 4
    """Number of steps per path length update, whose weight is multiplied by this number."""
    auxiliary_disc: Value = 1.0
    """Weight of the cross-entropy of real examples, for discriminators with a class head."""
    auxiliary_gen: Value = 0.1
    """Weight of the cross-entropy of generated examples, for discriminators with a class head."""
    reconstruction: Value = 0.0
    """Weight of the L1 distance to the real example, for conditional generators (Isola et al. 2017,
    1611.07004, eq. 4)."""
    perceptual: Value = 0.0
    """Weight of the feature matching loss: the L1 distance of the discriminator's features, summed
    over its stages (Wang et al. 2018, 1711.11585, eq. 4)."""
    weight_clip: float = 0.0
    """Maximum absolute weight of the discriminator (original WGAN); 0 disables clipping."""


@dataclasses.dataclass(frozen=True)
class Augment:
    """Augmentation of the discriminator's real and generated images.

    Each transformation of a group is applied with probability strength times p.
    """

    blit: float = 0.0
    """Strength of flips, 90 degree rotations, and integer translations."""
    geometry: float = 0.0
    """Strength of scaling, rotation, stretching, and fractional translations."""
    color: float = 0.0
    """Strength of brightness, contrast, luma flip, hue, and saturation."""
    cutout: float = 0.0
    """Strength of cutout: a rectangle with half the sides of the image becomes mid-gray."""
    p: Value = 0.0
    """Probability of a transformation of strength 1; if adaptive, the initial probability."""
    adaptive: bool = False
    """Adapt p to the signs of the discriminator's real logits (ADA)."""
    target: float = 0.6
    """Mean sign of the real logits above which adaptive p increases."""
    adapt_images: float = 500_000.0
    """Number of real images in which adaptive p can increase from 0 to 1."""
    adapt_every: int = 4
    """Number of discriminator updates between changes of adaptive p."""
    diffaugment: tuple[DiffAugmentation, ...] = ()
    """Names of DiffAugment transformations, applied to every image in a fixed order."""

    @property
    def is_off(self) -> bool:
        """Return whether no image is ever augmented."""
        never = not self.adaptive and is_off(self.p)
        groups = any(not is_off(getattr(self, group)) for group in ADA_GROUPS)
        return not self.diffaugment and (never or not groups)


@dataclasses.dataclass(frozen=True)
class Masks:
    """Random masks for inpainting."""

    kinds: tuple[MaskKind, ...] = ()
    """Kinds of masks, all equally likely: a box, a half, brush strokes, random pixels."""


@dataclasses.dataclass(frozen=True)
class Prior:
    """Distribution of the latents z."""

    dim: Annotated[int, tyro.conf.arg(name="z-dim")] = 100
    """Dimension of z."""
    distribution: Annotated[Distribution, tyro.conf.arg(name="latent")] = "normal"
    """Distribution of z: normal N(0, 1), uniform U[-1, 1], or key, the two words of a PRNG key, for
    networks that sample their own noise."""


@dataclasses.dataclass(frozen=True)
class EMA:
    """Exponential moving average of the generator."""

    half_life: Annotated[Value, tyro.conf.arg(name="ema-half-life")] = 0.0
    """Half-life in images; 0 disables the moving average."""
    ramp: Annotated[float, tyro.conf.arg(name="ema-ramp")] = 0.0
    """Maximum half-life as a fraction of the images so far; 0 disables the ramp."""


Flat = tyro.conf.arg(name="")  # flags without a prefix


@dataclasses.dataclass(frozen=True)
class Config:
    """Settings that determine the numbers of a run. Batch sizes are global, over all devices."""

    name: str
    """Name of the experiment. The run folder defaults to runs/NAME."""
    gen: Generator
    """Generator network: gen(z, cond, train=...) -> examples."""
    disc: Discriminator
    """Discriminator network: disc(x, cond, train=...) -> logits."""
    steps: int
    """Number of train steps, each n_critic discriminator updates and one generator update."""
    data: Data = ImageData()
    """Data set."""
    objective: Annotated[Objective, Flat] = Objective()
    """Losses and regularization of both networks."""
    augment: Augment = Augment()
    """Augmentation of the discriminator's images."""
    masks: Masks = Masks()
    """Random masks for inpainting."""
    gen_opt: Optimizer = Optimizer()
    """Optimizer of the generator."""
    disc_opt: Optimizer = Optimizer()
    """Optimizer of the discriminator."""
    pretrain: Pretrain = Pretrain()
    """Pretraining of the generator without a discriminator."""
    n_critic: int = 1
    """Number of discriminator updates per generator update."""
    prior: Annotated[Prior, Flat] = Prior()
    """Distribution of the latents z."""
    ema: Annotated[EMA, Flat] = EMA()
    """Exponential moving average of the generator."""
    batch_size: int = 64
    """Number of real examples per discriminator update."""
    seed: int = 0
    """Random seed of the run."""
    seeds: tuple[int, ...] = ()
    """Seeds of a population, one GAN per seed, trained together. Empty: one GAN of `seed`."""
    sweep: Sweeps = ()
    """Swept fields of a population and their values: one GAN per combination and seed."""

    def replace(self, **changes: Any) -> "Config":
        """Return a copy with some fields changed.

        Args:
            **changes: New values by field name. Fields of `objective`, `prior`, and `ema` have the
                names of their flags: `loss`, `z_dim`, `latent`, `ema_half_life`, ...

        Returns:
            The new config.

        Example:
            >>> from gan_jax.networks import mlp
            >>> config = Config("example", mlp.Generator(), mlp.Discriminator(), steps=100)
            >>> config.replace(loss="hinge", z_dim=16).prior.dim
            16
        """
        return bind(self, changes)


def _flat_fields() -> dict[str, str]:
    """Return the paths of fields whose flags have no prefix: loss -> objective.loss."""
    renamed = {"dim": "z_dim", "distribution": "latent", "half_life": "ema_half_life"}
    renamed |= {"ramp": "ema_ramp"}
    groups = {"objective": Objective, "prior": Prior, "ema": EMA}
    return {
        renamed.get(field.name, field.name): f"{group}.{field.name}"
        for group, kind in groups.items()
        for field in dataclasses.fields(kind)
    }


FLAT_FIELDS = _flat_fields()


def path_of(name: str) -> list[str]:
    """Return the field names from a Config to the field with a dotted flag name.

    Example:
        >>> path_of("penalties.r1")
        ['objective', 'penalties', 'r1']
    """
    head, *rest = name.split(".")
    return [*FLAT_FIELDS.get(head, head).split("."), *rest]


def flag_of(path: str) -> str:
    """Return the dotted flag name of a field with a dotted path.

    Example:
        >>> flag_of("objective.penalties.r1")
        'penalties.r1'
    """
    for flag, field in FLAT_FIELDS.items():
        if path == field or path.startswith(f"{field}."):
            return flag + path.removeprefix(field)
    return path


def _replace(tree: Any, path: list[str], value: Any) -> Any:
    name, *rest = path
    return dataclasses.replace(
        tree, **{name: _replace(getattr(tree, name), rest, value) if rest else value}
    )


def bind(config: Config, values: dict[str, Any]) -> Config:
    """Return a copy with fields, by dotted flag name, set to numbers or traced scalars."""
    for name, value in values.items():
        config = _replace(config, path_of(name), value)
    return config


@dataclasses.dataclass(frozen=True)
class Runtime:
    """Execution of a run. Results are the same up to rounding."""

    devices: int | None = None
    """Number of devices; all by default. Random numbers and data do not depend on it."""
    members_at_once: int | None = None
    """Number of population members trained concurrently. Lower values use less memory. Defaults to
    all members (one at a time for large networks on CPU, where that is faster)."""
    microbatch: int = 0
    """Number of examples per forward pass of a device, with gradient accumulation; 0 for all."""
    remat: bool = False
    """Recompute activations of blocks in the backward pass: less memory, more time."""
    stream: bool = False
    """Prefetch batches from the host, or from disk for a prepared data set."""
    workers: int = 0
    """Number of processes that read a streamed prepared data set; 0 uses threads."""
    skip_limit: int = 100
    """Number of consecutive steps with a skipped non-finite update after which the run stops."""


@dataclasses.dataclass(frozen=True)
class Logging:
    """Files that a run writes. They do not affect its numbers."""

    log_every: int = 10
    """Number of steps between rows of metrics.jsonl."""
    score_every: int = 0
    """Number of steps between rows of scores.jsonl; 0 disables scoring."""
    sample_every: int = 1000
    """Number of steps between grids of samples."""
    checkpoint_every: int = 1000
    """Number of steps between checkpoints."""
    keep: int = 3
    """Number of checkpoints to keep."""


@dataclasses.dataclass(frozen=True)
class Preset:
    """A version of a recipe: a config with logging and runtime settings."""

    config: Config
    """Config of the run."""
    logging: Logging = Logging()
    """Logging settings."""
    runtime: Runtime = Runtime()
    """Runtime settings."""


def differences(config: Config, other: Config) -> dict[str, tuple[Any, Any]]:
    """Compare two configs, except for `steps` and the location of the data.

    Args:
        config: A config.
        other: A config to compare it with.

    Returns:
        Both values of each different field, by dotted flag name.

    Example:
        >>> from gan_jax.networks import mlp
        >>> config = Config("example", mlp.Generator(), mlp.Discriminator(), steps=100)
        >>> differences(config, config.replace(loss="hinge", steps=200))
        {'loss': ('non_saturating', 'hinge')}
    """
    compared = [
        dataclasses.replace(item, steps=0, data=without_location(item.data))
        for item in (config, other)
    ]
    return {flag_of(path): values for path, values in _compare("", *compared).items()}


def _compare(path: str, first: Any, second: Any) -> dict[str, tuple[Any, Any]]:
    if not dataclasses.is_dataclass(first) or type(first) is not type(second):
        return {} if first == second else {path: (first, second)}
    different = {}
    for field in dataclasses.fields(first):
        if field.name not in ("parent", "name") or not isinstance(first, nn.Module):
            inner = f"{path}.{field.name}".removeprefix(".")
            pair = getattr(first, field.name), getattr(second, field.name)
            different |= _compare(inner, *pair)
    return different
