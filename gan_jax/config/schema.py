"""The configuration of a run: `Config` decides its numbers, `Runtime` how it runs, `Logging` what
it writes and when."""

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
    """Options that all kinds of data share. A run has one of the subclasses."""

    name: str
    """Name of the data set."""
    split: str = "train"
    """Part of the set: all, train or test of the digits; any TFDS split; idx file prefix."""
    path: str | None = None
    """Path that sets of files are read from."""
    dir: str | None = None
    """TFDS data directory. Defaults to $TFDS_DATA_DIR, then ~/tensorflow_datasets."""
    labels: bool = False
    """Condition the networks on the class labels."""
    per_class: int = 0
    """Number of examples of each class, drawn at random; 0 for all. A seed's smaller draws are
    subsets of its larger ones."""
    subset_seed: int = 0
    """Seed of that draw."""
    symmetric: ClassVar[bool] = False
    """Whether examples are in [-1, 1] instead of [0, 1]."""
    cond: ClassVar[tuple[str, ...]] = ()
    """Names of the arrays on which the networks are conditioned beside labels."""


@dataclasses.dataclass(frozen=True)
class ImageData(Data):
    """Images: digits, stacked_mnist, folder, npz, idx, prepared, or any prepared TFDS set."""

    name: str = "digits"
    size: int | None = None
    """Side in pixels to which images are cropped and resized; None keeps theirs."""
    channels: Literal[1, 3] | None = None
    """Convert to gray (1) or RGB (3); None keeps the set's own (a folder: 3)."""
    cond: tuple[str, ...] = ()  # pyright: ignore[reportIncompatibleVariableOverride]
    """Names of arrays of an npz file on which the networks are conditioned: uint8 images
    [n, h, w, c], or numbers [n] or [n, d]. Labels are added if `labels` is set."""
    symmetric: bool = False  # pyright: ignore[reportIncompatibleVariableOverride]
    """Scale pixels to [-1, 1], for tanh generators, instead of [0, 1], for sigmoid ones."""


@dataclasses.dataclass(frozen=True)
class PointData(Data):
    """Points in the plane: the Gaussian mixtures ring and grid."""

    name: str = "ring"


@dataclasses.dataclass(frozen=True)
class AudioData(Data):
    """Sounds: spoken_digit, spoken_digit_speakers, tones, or sounds (a folder)."""

    name: str = "tones"
    length: int | None = None
    """Number of samples of a sound. Longer ones are cut, shorter ones padded with zeros. Defaults
    to 8192, or 2048 for tones."""
    rate: int | None = None
    """Sample rate in Hz to which sounds are resampled; None keeps the set's own."""
    normalize: bool = False
    """Scale every sound to a peak of 1."""
    spectrogram: bool = False
    """Use SpecGAN's spectrograms, 128 frames of 128 frequencies, instead of waveforms."""
    symmetric: ClassVar[bool] = True


@dataclasses.dataclass(frozen=True)
class TextData(Data):
    """Sequences of tokens: lines, running_text, or oracle."""

    name: str = "running_text"
    test_path: str | None = None
    """Path of the split `test`, if it has a file of its own."""
    level: Literal["words", "characters"] = "words"
    """Unit of a token."""
    tokens: int = 32
    """Number of tokens of an example. Shorter sentences are padded, longer ones left out."""
    vocabulary: int = 128
    """Number of different tokens: end of sentence, unknown, and the most frequent ones."""


BY_PATH = ("folder", "npz", "idx", "prepared", "sounds", "lines")  # sets that lie at `path`


def with_data_dir(data: Data, folder: str | None) -> Data:
    """Replaces the place from which a data set is read; None keeps it."""
    if folder is None:
        return data
    field = "path" if data.path or data.name in BY_PATH else "dir"
    return dataclasses.replace(data, **{field: folder})


def without_location(data: Data) -> Data:
    """Removes the places from which a data set is read: fingerprints identify its contents."""
    location = {"path", "test_path", "dir"} & {field.name for field in dataclasses.fields(data)}
    return dataclasses.replace(data, **dict.fromkeys(location))


@dataclasses.dataclass(frozen=True)
class Optimizer:
    """An optimizer."""

    name: OptimizerName = "adam"
    """Algorithm."""
    lr: Value = 2e-4
    """Learning rate."""
    b1: float = 0.5
    """Adam's beta1; momentum of rmsprop and sgd."""
    b2: Value = 0.999
    """Adam's beta2; decay of rmsprop."""
    eps: float = 1e-8
    """Adam's epsilon."""


@dataclasses.dataclass(frozen=True)
class Pretrain:
    """Pretraining of the generator without a discriminator: maximum likelihood for generators of
    sequences, else L1 reconstruction."""

    steps: int = 0
    """Number of pretraining steps, included in `steps`; 0 disables pretraining. Schedules count
    from the first pretraining step."""
    opt: Optimizer = Optimizer(lr=1e-2, b1=0.9)
    """Optimizer of these steps, of the same kind as gen_opt."""
    clip: float = 5.0
    """Largest norm of the gradient; 0 disables clipping."""


@dataclasses.dataclass(frozen=True)
class Penalties:
    """Weights of the discriminator's gradient penalties; 0 disables one."""

    r1: Value = 0.0
    """Weight gamma of gamma/2 E|grad f(real)|^2."""
    r2: Value = 0.0
    """Weight gamma of gamma/2 E|grad f(fake)|^2."""
    gradient_penalty: Value = 0.0
    """Weight of the two-sided WGAN-GP penalty."""
    one_sided: Value = 0.0
    """Weight of the one-sided (Lipschitz) gradient penalty."""
    dragan: Value = 0.0
    """Weight of the DRAGAN penalty."""


@dataclasses.dataclass(frozen=True)
class Objective:
    """Terms of the game."""

    loss: str = "non_saturating"
    """Adversarial loss: a name in gan_jax.losses.adversarial.LOSSES."""
    label_smoothing: float = 0.0
    """Amount by which the real label is below 1 (minimax and non_saturating only)."""
    penalties: Penalties = Penalties()
    """Discriminator penalties."""
    penalty_every: int = 1
    """Discriminator updates between penalties, which are scaled up by as much (StyleGAN2's lazy
    regularization)."""
    path_length: Value = 0.0
    """Weight of StyleGAN2's path length regularization of the generator."""
    path_length_every: int = 4
    """Steps between path length updates, whose weight is scaled up by as much."""
    auxiliary_disc: Value = 1.0
    """Weight of the cross-entropy of real examples, for discriminators with a class head."""
    auxiliary_gen: Value = 0.1
    """Weight of the cross-entropy of generated examples."""
    reconstruction: Value = 0.0
    """Weight of the mean absolute error to the real example, for conditional generators (Isola et
    al. 2017, 1611.07004, eq. 4)."""
    perceptual: Value = 0.0
    """Weight of the mean absolute error of the discriminator's features, summed over its stages
    (Wang et al. 2018, 1711.11585, eq. 4), for discriminators that return features."""
    weight_clip: float = 0.0
    """Largest absolute discriminator weight (the first WGAN); 0 disables clipping."""


@dataclasses.dataclass(frozen=True)
class Augment:
    """Augmentation of real and generated images before the discriminator. Each transformation of a
    group happens with probability strength times p."""

    blit: float = 0.0
    """Strength of flips, quarter turns, and shifts by whole pixels."""
    geometry: float = 0.0
    """Strength of scaling, rotation, stretching, and fractional shifts."""
    color: float = 0.0
    """Strength of brightness, contrast, luma flip, hue, and saturation."""
    cutout: float = 0.0
    """Strength of cutout: a rectangle of half the image's sides becomes mid-gray."""
    p: Value = 0.0
    """Probability of a transformation at strength 1; if adaptive, the one of the first step."""
    adaptive: bool = False
    """Adapt p to the sign of the discriminator's real logits (ADA)."""
    target: float = 0.6
    """Mean sign of real logits above which adaptive p rises."""
    adapt_images: float = 500_000.0
    """Number of real images in which adaptive p can go from 0 to 1."""
    adapt_every: int = 4
    """Discriminator updates between changes of adaptive p."""
    diffaugment: tuple[DiffAugmentation, ...] = ()
    """Parts of DiffAugment, always applied, in this order."""

    @property
    def is_off(self) -> bool:
        """Whether nothing is ever augmented."""
        never = not self.adaptive and is_off(self.p)
        groups = any(not is_off(getattr(self, group)) for group in ADA_GROUPS)
        return not self.diffaugment and (never or not groups)


@dataclasses.dataclass(frozen=True)
class Masks:
    """Random masks for inpainting."""

    kinds: tuple[MaskKind, ...] = ()
    """Kinds of masks, each equally likely: a box, a half, free strokes, lone pixels."""


@dataclasses.dataclass(frozen=True)
class Prior:
    """Distribution of the latents z."""

    dim: Annotated[int, tyro.conf.arg(name="z-dim")] = 100
    """Dimension of z."""
    distribution: Annotated[Distribution, tyro.conf.arg(name="latent")] = "normal"
    """N(0, 1), uniform on [-1, 1], or the two words of a random key, for networks that draw their
    own noise."""


@dataclasses.dataclass(frozen=True)
class EMA:
    """Exponential moving average of the generator."""

    half_life: Annotated[Value, tyro.conf.arg(name="ema-half-life")] = 0.0
    """Half-life in images; 0 disables the average."""
    ramp: Annotated[float, tyro.conf.arg(name="ema-ramp")] = 0.0
    """Largest half-life as a share of the images seen so far; 0 disables the ramp."""


Flat = tyro.conf.arg(name="")  # flags of a group have no prefix


@dataclasses.dataclass(frozen=True)
class Config:
    """Everything that decides the numbers of a run. Batch sizes are global, over all devices."""

    name: str
    """Experiment name. The run folder defaults to runs/NAME."""
    gen: Generator
    """Generator: gen(z, cond, train=...) -> examples."""
    disc: Discriminator
    """Discriminator: disc(x, cond, train=...) -> logits."""
    steps: int
    """Number of train steps: n_critic discriminator updates, then one generator update."""
    data: Data = ImageData()
    """Data set."""
    objective: Annotated[Objective, Flat] = Objective()
    """Terms of the game."""
    augment: Augment = Augment()
    """Augmentation before the discriminator."""
    masks: Masks = Masks()
    """Masks for inpainting."""
    gen_opt: Optimizer = Optimizer()
    """Optimizer of the generator."""
    disc_opt: Optimizer = Optimizer()
    """Optimizer of the discriminator."""
    pretrain: Pretrain = Pretrain()
    """Pretraining of the generator."""
    n_critic: int = 1
    """Discriminator updates per generator update."""
    prior: Annotated[Prior, Flat] = Prior()
    """Distribution of the latents."""
    ema: Annotated[EMA, Flat] = EMA()
    """Moving average of the generator."""
    batch_size: int = 64
    """Number of real examples per discriminator update."""
    seed: int = 0
    """Random seed of the run."""
    seeds: tuple[int, ...] = ()
    """Seeds of a population: one GAN per seed, all trained at once. If empty, one GAN of `seed`."""
    sweep: Sweeps = ()
    """Fields of a population and their values: one GAN per combination, for every seed."""

    def replace(self, **changes: Any) -> "Config":
        """Returns a copy with other values, named as flags are.

        Args:
            **changes: New values by field name. Fields of `objective`, `prior`, and `ema` have the
                names of their flags: `loss`, `z_dim`, `latent`, `ema_half_life`, ...

        Example:
            >>> from gan_jax.networks import mlp
            >>> config = Config("example", mlp.Generator(), mlp.Discriminator(), steps=100)
            >>> config.replace(loss="hinge", z_dim=16).prior.dim
            16
        """
        return bind(self, changes)


def _flat_fields() -> dict[str, str]:
    """Paths of the fields whose flags have no prefix, by flag name: loss -> objective.loss."""
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
    """Field names from a Config down to the field with the dotted flag name `name`."""
    head, *rest = name.split(".")
    return [*FLAT_FIELDS.get(head, head).split("."), *rest]


def flag_of(path: str) -> str:
    """Dotted flag name of a dotted path: objective.penalties.r1 -> penalties.r1."""
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
    """Replaces fields, by dotted flag name, with numbers or traced scalars."""
    for name, value in values.items():
        config = _replace(config, path_of(name), value)
    return config


@dataclasses.dataclass(frozen=True)
class Runtime:
    """How a run is executed. Results are the same up to rounding."""

    devices: int | None = None
    """Number of devices; all by default. Each sees the same noise and data for any number."""
    members_at_once: int | None = None
    """Number of population members trained concurrently. Lower values use less memory. Defaults to
    all members (one at a time for large networks on CPU, where that is faster)."""
    microbatch: int = 0
    """Examples of a batch that a device processes at a time, accumulating gradients; 0 for all."""
    remat: bool = False
    """Recompute the activations inside of blocks for gradients: less memory, more time."""
    stream: bool = False
    """Keep the data set on the host, a prepared one on disk, and prefetch its batches."""
    workers: int = 0
    """Number of processes that read a streamed prepared set; 0 uses threads."""
    skip_limit: int = 100
    """Consecutive steps with a non-finite update, which is skipped, after which the run stops."""


@dataclasses.dataclass(frozen=True)
class Logging:
    """Files that a run writes, and when. It changes no number."""

    log_every: int = 10
    """Steps between rows of metrics.jsonl."""
    score_every: int = 0
    """Steps between scores in scores.jsonl; 0 for none."""
    sample_every: int = 1000
    """Steps between samples."""
    checkpoint_every: int = 1000
    """Steps between checkpoints."""
    keep: int = 3
    """Number of checkpoints kept."""


@dataclasses.dataclass(frozen=True)
class Preset:
    """A config with the settings that a recipe runs it with."""

    config: Config
    logging: Logging = Logging()
    runtime: Runtime = Runtime()


def differences(ours: Config, theirs: Config) -> dict[str, tuple[Any, Any]]:
    """Compares two configs, except for `steps` and the location of the data.

    Args:
        ours: A config.
        theirs: Another one.

    Returns:
        Both values of each field that differs, by dotted flag name.
    """

    ours, theirs = (
        dataclasses.replace(config, steps=0, data=without_location(config.data))
        for config in (ours, theirs)
    )
    return {flag_of(path): values for path, values in _compare("", ours, theirs).items()}


def _compare(path: str, ours: Any, theirs: Any) -> dict[str, tuple[Any, Any]]:
    if not dataclasses.is_dataclass(ours) or type(ours) is not type(theirs):
        return {} if ours == theirs else {path: (ours, theirs)}
    different = {}
    for field in dataclasses.fields(ours):
        if field.name not in ("parent", "name") or not isinstance(ours, nn.Module):
            inner = f"{path}.{field.name}".removeprefix(".")
            pair = getattr(ours, field.name), getattr(theirs, field.name)
            different |= _compare(inner, *pair)
    return different
