"""Metrics that a run logs, with their meanings from reference/logged-metrics.md."""

import functools
import re
from pathlib import Path

from gan_jax.config import Config
from gan_jax.config.schedules import is_off
from gan_jax.losses.penalties import PENALTIES

PAGE = Path(__file__).parent / "reference" / "logged-metrics.md"
ALWAYS = ("disc_loss", "gen_loss", "real_logit", "fake_logit", "disc_grad_norm", "gen_grad_norm")


@functools.cache
def meanings() -> dict[str, str]:
    """Return the first sentence of each metric's section on the reference page, by name."""
    sections = re.findall(r"^### (\w+)\n\n(.*?\.)\s", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    return {name: " ".join(sentence.split()) for name, sentence in sections}


def names_of(config: Config) -> list[str]:
    """List the metrics that a run of `config` logs, in the order of the reference page."""
    objective, pretrain = config.objective, config.pretrain.steps > 0
    optional = {
        **{name: not is_off(getattr(objective.penalties, name)) for name in PENALTIES},
        "l1": not is_off(objective.reconstruction) or (pretrain and not config.gen.has_likelihood),
        "perceptual": not is_off(objective.perceptual),
        "class_loss": config.disc.auxiliary,
        "gen_class_loss": config.disc.auxiliary,
        "augment_p": config.augment.adaptive,
        "path_length": not is_off(objective.path_length),
        "mean_path": not is_off(objective.path_length),
        "nll": pretrain and config.gen.has_likelihood,
    }
    return [*ALWAYS, *(name for name, logged in optional.items() if logged), "skipped"]
