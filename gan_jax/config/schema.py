"""What a run is: one frozen Config. The networks are fields of it."""

import dataclasses
from typing import Any, Literal

import flax.linen as nn

from gan_jax.config import schedules, schema
from gan_jax.config.schedules import Value
from gan_jax.config.sweeps import Sweeps
from gan_jax.networks.interface import Discriminator, Generator

Part = Literal["colour", "translation", "cutout"]


GROUPS = ("blit", "geometry", "colour", "cutout")


@dataclasses.dataclass(frozen=True)
class Augment:
    """Which augmentations; none by default. A group's transformations each happen with its strength
    times p as probability; strength 0 leaves the group out."""

    blit: float = 0.0
    """Strength of mirror images, quarter turns and whole-pixel shifts."""
    geometry: float = 0.0
    """Strength of scaling, rotation, stretching and fractional shifts."""
    colour: float = 0.0
    """Strength of brightness, contrast, luma flip, hue and saturation."""
    cutout: float = 0.0
    """Strength of cutout: a rectangle of half the sides becomes mid-grey."""
    p: Value = 0.0
    """Probability of a transformation at strength 1; if adaptive, of the first step."""
    adaptive: bool = False
    """Let p follow the share of reals that the critic gets right (ADA)."""
    target: float = 0.6
    """Adaptive: mean sign of the critic's logits of reals above which p rises."""
    adapt_images: float = 500_000.0
    """Adaptive: real images in which p can go from 0 to 1."""
    adapt_every: int = 4
    """Adaptive: critic updates between changes of p."""
    diffaugment: tuple[Part, ...] = ()
    """Parts of DiffAugment. They know no p, and are applied in the order of their names here."""


Kind = Literal["box", "half", "free", "pixels"]


@dataclasses.dataclass(frozen=True)
class Masks:
    """Which holes are cut into pictures for the networks to repair; none by default."""

    kinds: tuple[Kind, ...] = ()
    """Kinds of holes, each as likely as another: a box, a half, free strokes, lone pixels."""


OptimizerName = Literal["adam", "optimistic_adam", "rmsprop", "sgd"]
Latent = Literal["normal", "uniform", "key"]
TOKENS = ("lines", "running_text", "oracle")  # data sets of tokens


@dataclasses.dataclass(frozen=True)
class Optimizer:
    """One player's optimiser. lr and b2 may be schedules over train steps."""

    name: OptimizerName = "adam"
    lr: Value = 2e-4
    b1: float = 0.5
    """Adam's beta1; momentum of rmsprop and sgd."""
    b2: Value = 0.999
    """Adam's beta2; decay of rmsprop."""
    eps: float = 1e-8


@dataclasses.dataclass(frozen=True)
class Pretrain:
    """The first steps of a run, in which the generator learns without the critic, by likelihood or
    by reconstruction. See gan_jax/training/pretrain.py."""

    steps: int = 0
    """Of the run's steps, 0 for none. All schedules count them too, those of the game as well."""
    opt: Optimizer = Optimizer(lr=1e-2, b1=0.9)
    """The generator's optimiser meanwhile, of the same kind as gen_opt."""
    clip: float = 5.0
    """The gradient is scaled to at most this norm; 0: not."""


@dataclasses.dataclass(frozen=True)
class Penalties:
    """Weights of the critic's penalties, 0 for none; any combination. See losses/penalties.py."""

    r1: Value = 0.0
    """gamma of gamma/2 E|grad f(real)|^2."""
    r2: Value = 0.0
    """gamma of gamma/2 E|grad f(fake)|^2."""
    gradient_penalty: Value = 0.0
    """lambda of WGAN-GP, two-sided."""
    one_sided: Value = 0.0
    """lambda of the one-sided (Lipschitz) gradient penalty."""
    dragan: Value = 0.0
    """lambda of DRAGAN."""


@dataclasses.dataclass(frozen=True)
class Data:
    """Which examples, and the form in which the networks see them."""

    name: str = "digits"
    """digits, ring, grid, stacked_mnist, folder, npz, idx, or a prepared TFDS image set. Of sounds:
    spoken_digit, spoken_digit_speakers, tones, sounds. Of tokens: lines, running_text, oracle."""
    split: str = "train"
    """A part of the set: all, train or test of the digits; any TFDS split; idx file prefix."""
    path: str | None = None
    """Where folder, npz, idx, sounds, lines and running_text read."""
    test_path: str | None = None
    """Where lines and running_text read the split `test`, if it has a file of its own."""
    dir: str | None = None
    """TFDS data directory; without it $TFDS_DATA_DIR, then ~/tensorflow_datasets."""
    size: int | None = None
    """Side in pixels that pictures are cropped square and resized to; None keeps theirs."""
    channels: Literal[1, 3] | None = None
    """Convert pictures to grey (1) or RGB (3); None keeps the set's own (a folder: 3)."""
    labels: bool = False
    """Give the networks the class labels as cond."""
    per_class: int = 0
    """Only so many examples of each class, drawn at random; 0: all. What a seed draws of fewer is
    among what it draws of more."""
    draw: int = 0
    """Seed of that draw."""
    cond: tuple[str, ...] = ()
    """Arrays of an npz file that the networks get as cond, by name: uint8 pictures [n, h, w, c], or
    numbers [n] or [n, d]; with labels on, the labels too."""
    symmetric: bool = False
    """Pixels in [-1, 1], for a tanh generator; else [0, 1], for a sigmoid one. Sounds are in
    [-1, 1]."""
    length: int | None = None
    """Samples of a sound, longer ones being cut and shorter ones ending in zeros; None: 8192, of
    tones 2048."""
    rate: int | None = None
    """Samples a second that sounds are brought to; None keeps the set's own."""
    normalize: bool = False
    """Every sound as loud as it can be, with a peak of 1."""
    spectrogram: bool = False
    """Sounds as SpecGAN's spectrograms, 128 frames of 128 frequencies."""
    level: Literal["words", "characters"] = "words"
    """What a token of a text is."""
    tokens: int = 32
    """Tokens of an example of a text. Shorter sentences are filled up, longer ones left out."""
    vocabulary: int = 128
    """Tokens that there are: the width of the rows that networks see. Two of them are the end of a
    sentence and an unknown token, the others the text's most frequent ones."""


@dataclasses.dataclass(frozen=True)
class Config:
    """All that decides a run's numbers. Batch sizes are global: over all devices."""

    name: str
    """Of the experiment; the default run folder is runs/NAME."""
    gen: Generator
    """The generator: gen(z, cond, train=...) -> examples."""
    disc: Discriminator
    """The discriminator or critic: disc(x, cond, train=...) -> logits."""
    steps: int
    """Train steps: n_critic updates of the critic, then one of the generator."""
    data: Data = Data()
    """The data set."""
    loss: str = "non_saturating"
    """Adversarial loss: a name in gan_jax.losses.LOSSES."""
    label_smoothing: float = 0.0
    """Share s by which the real label falls short of 1 (minimax and non_saturating only)."""
    penalties: Penalties = Penalties()
    """Critic penalties."""
    penalty_every: int = 1
    """Penalties at every k-th critic update only, k times as strong (StyleGAN2's lazy ones)."""
    path_length: Value = 0.0
    """Weight of StyleGAN2's path length regularisation of the generator; 0: none."""
    path_length_every: int = 4
    """At every k-th step only, k times as strong, in an update of its own."""
    auxiliary_disc: Value = 1.0
    """Weight of the cross-entropy of reals in the critic's loss, where it has a class head."""
    auxiliary_gen: Value = 0.1
    """Weight of the cross-entropy of fakes in the generator's loss."""
    augment: Augment = Augment()
    """How pictures, real and fake, are altered before the critic sees them."""
    masks: Masks = Masks()
    """Holes that are cut into pictures, which the generator then repairs."""
    reconstruction: Value = 0.0
    """Weight of the mean absolute difference to the real example in the generator's loss, for
    generators that are told much of it (Isola et al. 2017, 1611.07004, eq. 4)."""
    perceptual: Value = 0.0
    """Weight of the mean absolute difference to what the critic makes of the real example, summed
    over its stages (Wang et al. 2018, 1711.11585, eq. 4), likewise; with the critic of U-Net."""
    weight_clip: float = 0.0
    """Critic weights are clipped to [-c, c] after each update (the first WGAN); 0: not."""
    gen_opt: Optimizer = Optimizer()
    """The generator's optimiser."""
    disc_opt: Optimizer = Optimizer()
    """The critic's optimiser."""
    pretrain: Pretrain = Pretrain()
    """The phase before, of a generator that has a likelihood, or with reconstruction."""
    n_critic: int = 1
    """Critic updates a generator update."""
    z_dim: int = 100
    """Dimensions of the noise z."""
    latent: Latent = "normal"
    """Law of z: N(0, 1), or uniform on [-1, 1]; or a random key's two words, for networks that draw
    noise themselves."""
    ema_half_life: Value = 0.0
    """Half-life, in images, of the generator's moving average; 0: none."""
    ema_ramp: float = 0.0
    """Half-life at most this share of the images seen so far; 0: no ramp."""
    batch_size: int = 64
    """Real examples a critic update."""
    microbatch: int = 0
    """Examples of a batch that a device works on at a time, the gradients of which are added up; 0:
    all of them. See gan_jax/training/microbatch.py."""
    remat: bool = False
    """Compute what is inside of networks' blocks again for their gradients, which needs less memory
    and more time. See gan_jax/training/remat.py."""
    seed: int = 0
    """Of everything random in the run."""
    seeds: tuple[int, ...] = ()
    """A population: one GAN of each of these seeds, all trained at once; none: one, of `seed`."""
    sweep: Sweeps = ()
    """A population: one GAN of each combination of the fields' values, of every seed."""
    log_every: int = 10
    """Steps between rows of metrics.jsonl."""
    score_every: int = 0
    """Steps between scores in scores.jsonl; 0: none."""
    sample_every: int = 1000
    """Steps between sample grids."""
    checkpoint_every: int = 1000
    """Steps between checkpoints."""
    keep: int = 3
    """Checkpoints kept."""
    skip_limit: int = 100
    """Steps in a row with a non-finite (and so skipped) update after which the run stops."""


def differences(ours: Config, theirs: Config) -> dict[str, tuple[Any, Any]]:
    """The fields in which two configs differ, by dotted name, with both values. Not `steps`, which
    says how far a run goes; nor where its data lies: fingerprints tell whether it is the same."""
    found: dict[str, tuple[Any, Any]] = {}

    def identity(config: Config) -> Config:
        data = dataclasses.replace(config.data, path=None, test_path=None, dir=None)
        return dataclasses.replace(config, steps=0, data=data)

    def compare(prefix: str, a: Any, b: Any) -> None:
        if dataclasses.is_dataclass(a) and type(a) is type(b):
            for field in dataclasses.fields(a):
                if field.name not in ("parent", "name") or not isinstance(a, nn.Module):
                    compare(
                        f"{prefix}.{field.name}", getattr(a, field.name), getattr(b, field.name)
                    )
        elif a != b:
            found[prefix[1:]] = (a, b)

    compare("", identity(ours), identity(theirs))
    return found


def is_off(config: Augment) -> bool:
    """Whether nothing is ever augmented, so that it is left out of the program."""
    never = not config.adaptive and schedules.is_off(config.p)
    groups = all(schedules.is_off(getattr(config, group)) for group in GROUPS)
    return (never or groups) and not config.diffaugment


NAMES = ("spoken_digit", "spoken_digit_speakers", "tones", "sounds")


VERSIONED = NAMES[:2]


def is_sound(data: Data) -> bool:
    """Whether the set that `data` names is of sounds. Only of spoken digits there are versions."""
    name, version, _ = data.name.partition(":")
    return name in NAMES and (name in VERSIONED or not version)


BY_PATH = ("folder", "npz", "idx", "prepared", "sounds", "lines")  # which lie at data.path


def moved(data: Data, folder: str | None) -> Data:
    """`data`, of a set that now lies in `folder`."""
    if folder is None:
        return data
    by_path = data.path or data.name in schema.BY_PATH
    return dataclasses.replace(data, **{"path" if by_path else "dir": folder})


def of_tokens(config: Config) -> bool:
    """Whether it is a run on sequences of tokens."""
    return config.data.name in TOKENS
