"""Validation of configs before anything is loaded or compiled."""

import dataclasses
import math
import re
from typing import Annotated, Any, get_args, get_origin

from flax.linen import Module

from gan_jax.config import population
from gan_jax.config.schedules import Schedule, bounds, is_off
from gan_jax.config.schema import (
    ADA_GROUPS,
    AudioData,
    Augment,
    Config,
    Data,
    Distribution,
    ImageData,
    Logging,
    Optimizer,
    OptimizerName,
    PointData,
    Runtime,
    TextData,
    path_of,
)
from gan_jax.core.errors import UserError, suggestion
from gan_jax.losses import adversarial, penalties
from gan_jax.networks.interface import Discriminator, Generator

# Data sets by type of data. Every other name is an image data set, of TFDS for example.
DATASET_NAMES: dict[type[Data], tuple[str, ...]] = {
    ImageData: (),
    PointData: ("ring", "grid"),
    AudioData: ("spoken_digit", "spoken_digit_speakers", "tones", "sounds"),
    TextData: ("lines", "running_text", "oracle"),
}


def _fail(field: str, value: Any, allowed: str) -> None:
    raise UserError(f"{field} must be {allowed}, got {value!r}")


def _check_value(
    field: str, value: float | Schedule, low: float, high: float, allowed: str
) -> None:
    smallest, largest = bounds(value)
    if not (math.isfinite(smallest) and low <= smallest and largest < high):
        _fail(field, str(value) if isinstance(value, Schedule) else value, allowed)


def _check_integers(section: Any, low: int, *fields: str) -> None:
    """Check that fields of a dataclass are at least `low`, and below 2^31."""
    for field in fields:
        if not low <= getattr(section, field) < 2**31:
            _fail(field, getattr(section, field), f"at least {low} and below 2^31")


def _check_member(config: Config) -> None:
    """Check one member of a population."""
    _check_integers(config, 1, "steps", "n_critic", "batch_size")
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]*", config.name):
        _fail("name", config.name, "letters, digits, _, . and - (it names a folder)")
    if not 0 <= config.seed < 2**32:
        _fail("seed", config.seed, "from 0 to 4294967295")
    if config.steps * config.n_critic * config.batch_size >= 2**32:
        _fail("steps", config.steps, "smaller, so that steps x n_critic x batch_size is below 2^32")
    _check_prior(config)
    validate_data(config.data)
    for field in ("half_life", "ramp"):
        _check_value(f"ema_{field}", getattr(config.ema, field), 0.0, math.inf, "at least 0")
    _check_objective(config)
    _check_augment(config.augment)
    _check_masks(config)
    if isinstance(config.data, TextData):
        _check_text(config, config.data)
    _check_pretrain(config)
    optimizers = {"gen_opt": config.gen_opt, "disc_opt": config.disc_opt}
    for name, optimizer in (optimizers | {"pretrain.opt": config.pretrain.opt}).items():
        _check_optimizer(name, optimizer)


def _check_prior(config: Config) -> None:
    prior = config.prior
    if not 1 <= prior.dim < 2**31:
        _fail("z_dim", prior.dim, "at least 1 and below 2^31")
    if prior.distribution not in get_args(Distribution):
        _fail("latent", prior.distribution, f"one of {', '.join(get_args(Distribution))}")
    if prior.distribution == "key" and prior.dim != 2:
        _fail("z_dim", prior.dim, "2 with the latent distribution 'key'")


def validate_data(data: Data) -> None:
    """Check those options of a data set that need no data. Raises UserError."""
    if type(data) not in DATASET_NAMES:
        _fail("data", data, f"one of {', '.join(kind.__name__ for kind in DATASET_NAMES)}")
    kinds = {name: kind for kind, names in DATASET_NAMES.items() for name in names}
    name, _, version = data.name.partition(":")
    versioned = name.startswith("spoken_digit")  # the only audio data set of TFDS
    kind = ImageData if version and not versioned else kinds.get(name, ImageData)
    if kind is not type(data):
        if DATASET_NAMES[type(data)]:
            allowed = f"one of {', '.join(DATASET_NAMES[type(data)])}"
        else:
            allowed = "an image data set"
        _fail("data.name", data.name, f"{allowed} with {type(data).__name__}")
    if isinstance(data, ImageData) and data.size is not None and data.size < 1:
        _fail("data.size", data.size, "at least 1")
    if not 0 <= data.per_class < 2**31:
        _fail("data.per_class", data.per_class, "at least 0 and below 2^31")
    if not 0 <= data.subset_seed < 2**32:
        _fail("data.subset_seed", data.subset_seed, "from 0 to 4294967295")


def _check_objective(config: Config) -> None:
    objective = config.objective
    _check_integers(objective, 1, "penalty_every", "path_length_every")
    if objective.loss not in adversarial.LOSSES:
        hint = suggestion(objective.loss, adversarial.LOSSES)
        _fail("loss", objective.loss, f"one of {', '.join(adversarial.LOSSES)}{hint}")
    smoothing = objective.label_smoothing
    if not 0 <= smoothing < 1:
        _fail("label_smoothing", smoothing, "in [0, 1)")
    if smoothing and objective.loss not in adversarial.SMOOTHABLE:
        _fail("label_smoothing", smoothing, f"0 with the loss {objective.loss!r}")
    for field in ("weight_clip", "path_length", "auxiliary_disc", "auxiliary_gen"):
        _check_value(field, getattr(objective, field), 0.0, math.inf, "at least 0")
    for name in penalties.PENALTIES:
        value = getattr(objective.penalties, name)
        _check_value(f"penalties.{name}", value, 0.0, math.inf, "at least 0")
    if not is_off(objective.path_length) and config.gen.w_shape is None:
        _fail(
            "path_length",
            objective.path_length,
            "0 with a generator that has no w (only StyleGAN2 has it)",
        )


def _check_optimizer(name: str, optimizer: Optimizer) -> None:
    if optimizer.name not in get_args(OptimizerName):
        _fail(f"{name}.name", optimizer.name, f"one of {', '.join(get_args(OptimizerName))}")
    _check_value(f"{name}.lr", optimizer.lr, 0.0, math.inf, "at least 0")
    _check_value(f"{name}.eps", optimizer.eps, 0.0, math.inf, "at least 0")
    _check_value(f"{name}.b1", optimizer.b1, 0.0, 1.0, "in [0, 1)")
    _check_value(f"{name}.b2", optimizer.b2, 0.0, 1.0, "in [0, 1)")


def _check_text(config: Config, data: TextData) -> None:
    if not 1 <= data.tokens < 2**31:
        _fail("data.tokens", data.tokens, "at least 1 and below 2^31")
    if not 3 <= data.vocabulary <= 2**16:
        _fail("data.vocabulary", data.vocabulary, "from 3 to 65536")
    if not config.augment.is_off:
        raise UserError(f"augment must be off with data {data.name!r}, got {config.augment}")
    if config.masks.kinds:
        _fail("masks.kinds", config.masks.kinds, f"none with data {data.name!r}")


def _check_pretrain(config: Config) -> None:
    """Check pretraining and its optimizer."""
    pretrain = config.pretrain
    if not 0 <= pretrain.steps < 2**31:
        _fail("pretrain.steps", pretrain.steps, "at least 0 and below 2^31")
    _check_value("pretrain.clip", pretrain.clip, 0.0, math.inf, "at least 0")
    if not pretrain.steps:
        return
    if not config.gen.has_likelihood and is_off(config.objective.reconstruction):
        allowed = "0 with a generator without likelihood and without reconstruction"
        _fail("pretrain.steps", pretrain.steps, allowed)
    if not is_off(config.objective.path_length):
        _fail("pretrain.steps", pretrain.steps, "0 with path_length")
    first, second = pretrain.opt, config.gen_opt  # they share their state
    if first.name != second.name:
        _fail("pretrain.opt.name", first.name, f"the same as gen_opt.name ({second.name})")
    if first.name in ("sgd", "rmsprop") and is_off(first.b1) != is_off(second.b1):
        allowed = f"0 if and only if gen_opt.b1 is 0 (it is {second.b1})"
        _fail("pretrain.opt.b1", first.b1, allowed)


def _check_augment(augment: Augment) -> None:
    """Check strengths and probability of the augmentation."""
    above_one = math.nextafter(1, 2)
    strengths = [getattr(augment, group) for group in ADA_GROUPS]
    for group, strength in zip(ADA_GROUPS, strengths, strict=True):
        _check_value(f"augment.{group}", strength, 0.0, above_one, "in [0, 1]")
    _check_value("augment.p", augment.p, 0.0, above_one, "in [0, 1]")
    if not -1 < augment.target < 1:
        _fail("augment.target", augment.target, "between -1 and 1")
    if not 0 < augment.adapt_images < math.inf:
        _fail("augment.adapt_images", augment.adapt_images, "above 0")
    if not 1 <= augment.adapt_every < 2**31:
        _fail("augment.adapt_every", augment.adapt_every, "at least 1 and below 2^31")
    if len(set(augment.diffaugment)) < len(augment.diffaugment):
        _fail("augment.diffaugment", augment.diffaugment, "different parts")
    active = any(not is_off(strength) for strength in strengths)
    if augment.adaptive and isinstance(augment.p, Schedule):
        _fail("augment.p", str(augment.p), "a number if adaptive")
    if augment.adaptive and not active:
        _fail("augment.adaptive", True, f"false if {', '.join(ADA_GROUPS)} are all 0")
    if active and is_off(augment.p) and not augment.adaptive:
        _fail("augment.p", augment.p, "above 0, or adaptive, if an augmentation is on")


def _check_masks(config: Config) -> None:
    """Check masks, and the terms that compare with the real example."""
    objective, kinds = config.objective, config.masks.kinds
    for field in ("reconstruction", "perceptual"):
        _check_value(field, getattr(objective, field), 0.0, math.inf, "at least 0")
    if not is_off(objective.perceptual):
        if not config.disc.returns_features:
            allowed = "0 with a discriminator that returns no features"
            _fail("perceptual", objective.perceptual, allowed)
        if not config.augment.is_off:
            allowed = "0 with augment, which transforms real and generated images differently"
            _fail("perceptual", objective.perceptual, allowed)
    if len(set(kinds)) < len(kinds):
        _fail("masks.kinds", kinds, "different kinds")
    if kinds and not config.augment.is_off:
        raise UserError(f"augment must be off with masks, got {config.augment}")
    if kinds and isinstance(config.data, AudioData):
        _fail("masks.kinds", kinds, f"none with data {config.data.name!r}")
    if kinds and config.data.cond:
        _fail("data.cond", config.data.cond, "empty with masks")


def _check_networks(config: Config) -> None:
    """Reject networks that do not declare what they can do (gan_jax/networks/interface.py)."""
    for field, base in (("gen", Generator), ("disc", Discriminator)):
        network = getattr(config, field)
        if not isinstance(network, base):
            allowed = f"a subclass of gan_jax.networks.interface.{base.__name__}"
            raise UserError(f"{field} must be {allowed}, got {type(network).__name__}")


def _check_sweep(config: Config, field: str) -> None:
    """Check that the swept field is a number that may be traced."""
    kind, value = Config, config
    for name in path_of(field):
        if isinstance(value, Module):
            reason = "a network's fields decide shapes, and all members share one program"
            raise UserError(f"sweep {field}: {reason}; train the runs one after another")
        if not dataclasses.is_dataclass(value):
            raise UserError(f"sweep {field}: {value!r} has no field {name!r}")
        fields = {declared.name: declared for declared in dataclasses.fields(value)}
        if name not in fields:
            hint = suggestion(name, fields)
            raise UserError(f"sweep {field}: {type(value).__name__} has no field {name!r}{hint}")
        kind, value = fields[name].type, getattr(value, name)
    if field in ("seed", "seeds"):
        raise UserError(f"sweep {field}: use --seeds instead")
    kind = get_args(kind)[0] if get_origin(kind) is Annotated else kind
    if kind not in (float, float | Schedule):
        raise UserError(f"sweep {field}: only real numbers can be swept")


def validate(config: Config) -> None:
    """Check a config, its sweep, and all members of its population.

    Args:
        config: The config.

    Raises:
        UserError: If a value is not allowed. The message has the field, what is allowed, and the
            value.

    Example:
        >>> from gan_jax.networks import mlp
        >>> validate(Config("example", mlp.Generator(), mlp.Discriminator(), steps=0))
        Traceback (most recent call last):
        gan_jax.core.errors.UserError: steps must be at least 1 and below 2^31, got 0
    """
    _check_networks(config)
    if len(set(config.seeds)) < len(config.seeds):
        _fail("seeds", config.seeds, "different")
    names = [sweep.field for sweep in config.sweep]
    for sweep in config.sweep:
        _check_sweep(config, sweep.field)
        repeated = names.count(sweep.field) > 1 or len(set(sweep.values)) < len(sweep.values)
        if not sweep.values:
            raise UserError(f"sweep {sweep}: values must be one or more numbers, got none")
        if repeated:
            raise UserError(f"sweep {sweep}: fields and values must be different")
        for inside in names:
            if inside.startswith(f"{sweep.field}."):
                raise UserError(f"sweep {sweep.field}: its field {inside} is swept too")
        every = config.objective.penalty_every
        if every > 1 and sweep.field.startswith("penalties") and 0 in sweep.values:
            allowed = f"not be 0 with penalty_every {every}"
            raise UserError(f"sweep {sweep}: values must {allowed}, which would change the program")
        if sweep.field == "path_length" and 0 in sweep.values:
            raise UserError(f"sweep {sweep}: values must not be 0, which would change the program")
    for member in population.member_configs(config):
        _check_member(member)


def validate_logging(config: Config, logging: Logging) -> None:
    """Check the logging settings. Raises UserError."""
    if logging.score_every and (config.masks.kinds or config.data.cond):
        _fail(
            "score_every", logging.score_every, "0 for networks with conditions other than labels"
        )
    _check_integers(logging, 1, "log_every", "sample_every", "checkpoint_every", "keep")
    _check_integers(logging, 0, "score_every")


def validate_runtime(runtime: Runtime) -> None:
    """Check those runtime settings that need no devices or data. Raises UserError."""
    _check_integers(runtime, 1, "skip_limit")
    _check_integers(runtime, 0, "microbatch", "workers")
    if runtime.members_at_once is not None:
        _check_integers(runtime, 1, "members_at_once")
    if runtime.workers and not runtime.stream:
        _fail("workers", runtime.workers, "0 without --stream")
