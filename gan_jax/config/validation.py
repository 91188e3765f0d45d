"""Whether a config makes sense: clear errors before anything is loaded or compiled."""

import dataclasses
import math
import re
from typing import Any, get_args

from flax.linen import Module

from gan_jax.config import (
    GROUPS,
    TOKENS,
    Augment,
    Config,
    Latent,
    OptimizerName,
    is_sound,
    population,
)
from gan_jax.config import is_off as is_augment_off
from gan_jax.config.schedules import Schedule, Value, bounds, is_off
from gan_jax.core.errors import UserError, nearest
from gan_jax.losses import adversarial, penalties
from gan_jax.networks.interface import Discriminator, Generator


def _fail(field: str, value: Any, allowed: str) -> None:
    raise UserError(f"{field} is {value!r}: it must be {allowed}")


def _check_value(
    field: str, value: float | Schedule, low: float, high: float, allowed: str
) -> None:
    smallest, largest = bounds(value)
    if not (math.isfinite(smallest) and low <= smallest and largest < high):
        _fail(field, str(value) if isinstance(value, Schedule) else value, allowed)


def _check_member(config: Config) -> None:
    """Raises UserError, naming field, value and what is allowed, where a value makes no sense."""
    positive = ("steps", "penalty_every", "path_length_every", "n_critic", "z_dim", "batch_size")
    logged = ("log_every", "sample_every", "checkpoint_every", "keep", "skip_limit")
    for field in (*positive, *logged):
        if not 1 <= getattr(config, field) < 2**31:
            _fail(field, getattr(config, field), "at least 1, and below 2^31")
    for field in ("score_every", "microbatch"):
        if not 0 <= getattr(config, field) < 2**31:
            _fail(field, getattr(config, field), "at least 0, and below 2^31")
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]*", config.name):
        _fail("name", config.name, "letters, digits, _, . and -: it names a folder")
    if not 0 <= config.seed < 2**32:
        _fail("seed", config.seed, "from 0 to 4294967295")
    if config.steps * config.n_critic * config.batch_size >= 2**32:
        _fail("steps", config.steps, "fewer: steps x n_critic x batch_size must stay below 2^32")
    if config.loss not in adversarial.LOSSES:
        hint = nearest(config.loss, adversarial.LOSSES)
        _fail("loss", config.loss, f"one of {', '.join(adversarial.LOSSES)}{hint}")
    if not 0 <= config.label_smoothing < 1:
        _fail("label_smoothing", config.label_smoothing, "in [0, 1)")
    if config.label_smoothing and config.loss not in adversarial.SMOOTHABLE:
        _fail("label_smoothing", config.label_smoothing, f"0 with the loss {config.loss!r}")
    if config.latent not in get_args(Latent):
        _fail("latent", config.latent, f"one of {', '.join(get_args(Latent))}")
    if config.latent == "key" and config.z_dim != 2:
        _fail("z_dim", config.z_dim, "2 with the latent law 'key'")
    if config.data.size is not None and config.data.size < 1:
        _fail("data.size", config.data.size, "at least 1")
    if not 0 <= config.data.per_class < 2**31:
        _fail("data.per_class", config.data.per_class, "at least 0, and below 2^31")
    if not 0 <= config.data.draw < 2**32:
        _fail("data.draw", config.data.draw, "from 0 to 4294967295")
    for field in ("weight_clip", "ema_ramp", "path_length", "auxiliary_disc", "auxiliary_gen"):
        _check_value(field, getattr(config, field), 0.0, math.inf, "at least 0")
    _check_value("ema_half_life", config.ema_half_life, 0.0, math.inf, "at least 0")
    for name in penalties.PENALTIES:
        value = getattr(config.penalties, name)
        _check_value(f"penalties.{name}", value, 0.0, math.inf, "at least 0")
    if not is_off(config.path_length) and config.gen.w_shape is None:
        _fail("path_length", config.path_length, "0 with a generator that has no w (StyleGAN2's)")
    _check_augment(config.augment)
    _check_masks(config)
    _check_text(config)
    _check_pretrain(config)
    opts = {"gen_opt": config.gen_opt, "disc_opt": config.disc_opt}
    for player, opt in (opts | {"pretrain.opt": config.pretrain.opt}).items():
        if opt.name not in get_args(OptimizerName):
            _fail(f"{player}.name", opt.name, f"one of {', '.join(get_args(OptimizerName))}")
        _check_value(f"{player}.lr", opt.lr, 0.0, math.inf, "at least 0")
        _check_value(f"{player}.eps", opt.eps, 0.0, math.inf, "at least 0")
        _check_value(f"{player}.b1", opt.b1, 0.0, 1.0, "in [0, 1)")
        _check_value(f"{player}.b2", opt.b2, 0.0, 1.0, "in [0, 1)")


def _check_text(config: Config) -> None:
    """As `_check_member`, of data of tokens."""
    data = config.data
    if not 1 <= data.tokens < 2**31:
        _fail("data.tokens", data.tokens, "at least 1, and below 2^31")
    if not 3 <= data.vocabulary <= 2**16:
        _fail("data.vocabulary", data.vocabulary, "from 3 to 65536")
    if data.name in TOKENS and not is_augment_off(config.augment):
        raise UserError(f"augment is on: with data {data.name!r} it must be off")
    if data.name in TOKENS and config.masks.kinds:
        _fail("masks.kinds", config.masks.kinds, f"none with data {data.name!r}")


def _check_pretrain(config: Config) -> None:
    """As `_check_member`, of the phase before the game."""
    pretrain = config.pretrain
    if not 0 <= pretrain.steps < 2**31:
        _fail("pretrain.steps", pretrain.steps, "at least 0, and below 2^31")
    _check_value("pretrain.clip", pretrain.clip, 0.0, math.inf, "at least 0")
    if not pretrain.steps:
        return
    if not config.gen.has_likelihood and is_off(config.reconstruction):
        allowed = "0 with a generator that has no likelihood, and without reconstruction"
        _fail("pretrain.steps", pretrain.steps, allowed)
    if not is_off(config.path_length):
        _fail("pretrain.steps", pretrain.steps, "0 with path_length")
    ours, theirs = pretrain.opt, config.gen_opt
    if ours.name != theirs.name:
        _fail("pretrain.opt.name", ours.name, f"that of gen_opt, {theirs.name}: they share a state")
    if ours.name in ("sgd", "rmsprop") and is_off(ours.b1) != is_off(theirs.b1):
        _fail("pretrain.opt.b1", ours.b1, f"0 where gen_opt.b1 is: there it is {theirs.b1}")


def _check_augment(augment: Augment) -> None:
    """As `_check_member`, of the augmentation."""
    one = math.nextafter(1, 2)
    strengths = [getattr(augment, group) for group in GROUPS]
    for group, strength in zip(GROUPS, strengths, strict=True):
        _check_value(f"augment.{group}", strength, 0.0, one, "in [0, 1]")
    _check_value("augment.p", augment.p, 0.0, one, "in [0, 1]")
    if not -1 < augment.target < 1:
        _fail("augment.target", augment.target, "between -1 and 1")
    if not 0 < augment.adapt_images < math.inf:
        _fail("augment.adapt_images", augment.adapt_images, "above 0")
    if not 1 <= augment.adapt_every < 2**31:
        _fail("augment.adapt_every", augment.adapt_every, "at least 1, and below 2^31")
    if len(set(augment.diffaugment)) < len(augment.diffaugment):
        _fail("augment.diffaugment", augment.diffaugment, "parts that are there once each")
    on = any(not is_off(strength) for strength in strengths)
    if augment.adaptive and isinstance(augment.p, Schedule):
        _fail("augment.p", str(augment.p), "a number, from which p adapts")
    if augment.adaptive and not on:
        _fail("augment.adaptive", True, f"false where none of {', '.join(GROUPS)} is on")
    if on and is_off(augment.p) and not augment.adaptive:
        _fail("augment.p", augment.p, "above 0, or adaptive, where augmentations are on")


def _check_masks(config: Config) -> None:
    """As `_check_member`, of the holes to repair, and the networks that do."""
    for field in ("reconstruction", "perceptual"):
        _check_value(field, getattr(config, field), 0.0, math.inf, "at least 0")
    if not is_off(config.perceptual):
        if not config.disc.returns_features:
            allowed = "0 with a discriminator that returns no features"
            _fail("perceptual", config.perceptual, allowed)
        if not is_augment_off(config.augment):
            allowed = "0 with augment, which alters the two pictures differently"
            _fail("perceptual", config.perceptual, allowed)
    kinds = config.masks.kinds
    if len(set(kinds)) < len(kinds):
        _fail("masks.kinds", kinds, "kinds that are there once each")
    if kinds and not is_augment_off(config.augment):
        raise UserError("augment is on: with masks it must be off, for it alters the repair alone")
    if kinds and is_sound(config.data):
        _fail("masks.kinds", kinds, f"none with data {config.data.name!r}")
    if kinds and config.data.cond:
        _fail("data.cond", config.data.cond, "empty with masks")
    if (kinds or config.data.cond) and config.score_every:
        _fail("score_every", config.score_every, "0 where cond is more than labels")


def _check_networks(config: Config) -> None:
    """Reject networks that do not declare what they can do (gan_jax/networks/interface.py)."""
    for field, base in (("gen", Generator), ("disc", Discriminator)):
        network = getattr(config, field)
        if not isinstance(network, base):
            allowed = f"a subclass of gan_jax.networks.interface.{base.__name__}"
            raise UserError(f"{field} must be {allowed}, got {type(network).__name__}")


def _check_sweep(config: Config, field: str) -> None:
    """Raises UserError, with the reason, if the field is not a number that may be traced."""
    kind, value = Config, config
    for name in field.split("."):
        if isinstance(value, Module):
            reason = "a network's fields decide shapes, and all members share one program"
            raise UserError(f"sweep {field}: {reason}; train these one after another")
        if not dataclasses.is_dataclass(value):
            raise UserError(f"sweep {field}: there is no field {name!r} in {value!r}")
        fields = {one.name: one for one in dataclasses.fields(value)}
        if name not in fields:
            hint = nearest(name, fields)
            raise UserError(f"sweep {field}: {type(value).__name__} has no field {name!r}{hint}")
        kind, value = fields[name].type, getattr(value, name)
    if field in ("seed", "seeds"):
        raise UserError(f"sweep {field}: give --seeds instead")
    if kind not in (float, Value):
        reason = "it decides shapes or the program itself, which all members share"
        raise UserError(f"sweep {field}: {reason}; only real numbers can be swept")


def validate(config: Config) -> None:
    """Raises UserError, naming field, value and what is allowed, where a value makes no sense: in
    the config, its sweep, or a member of its population."""
    _check_networks(config)
    if len(set(config.seeds)) < len(config.seeds):
        raise UserError(f"seeds are {', '.join(map(str, config.seeds))}: each must be there once")
    names = [sweep.field for sweep in config.sweep]
    for sweep in config.sweep:
        _check_sweep(config, sweep.field)
        repeated = names.count(sweep.field) > 1 or len(set(sweep.values)) < len(sweep.values)
        if repeated or not sweep.values:
            raise UserError(f"sweep {sweep}: each field and each value must be there once")
        for inside in names:
            if inside.startswith(f"{sweep.field}."):
                raise UserError(f"sweep {sweep.field}: {inside} is swept too")
        if config.penalty_every > 1 and sweep.field.startswith("penalties") and 0 in sweep.values:
            lazy = f"with penalty_every {config.penalty_every} a run without it is another program"
            raise UserError(f"sweep {sweep}: {lazy}")
        if sweep.field == "path_length" and 0 in sweep.values:
            raise UserError(f"sweep {sweep}: a run without it is another program")
    for one in population.members(config):
        _check_member(one)
