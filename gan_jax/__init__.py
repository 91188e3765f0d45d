"""GANs as pure functions in JAX: `train_step(state, batch) -> (state, metrics)`.

The names below are imported when they are first used, so `import gan_jax` is quick. Everything else
is reachable through its module; `gan_jax/training/step.py` is the place to start reading.

Example:
    >>> import gan_jax
    >>> config = gan_jax.load_recipe("ring_mlp").config
    >>> config.gen_opt.name
    'adam'
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gan_jax.cli.recipes import load_recipe
    from gan_jax.config import Config, Logging, Objective, Optimizer, Preset, Runtime, Schedule
    from gan_jax.core.errors import UserError
    from gan_jax.data.sources import load as load_data
    from gan_jax.inference.load import load_generator
    from gan_jax.inference.sampling import sample
    from gan_jax.metrics.evaluation.evaluate import evaluate
    from gan_jax.reporting.run import open_run
    from gan_jax.train import fit
    from gan_jax.training.initialize import initialize
    from gan_jax.training.loop import iterate
    from gan_jax.training.step import make_train_step

__version__ = "0.2.0.dev0"

_MODULES = {
    "Config": "config",
    "Logging": "config",
    "Objective": "config",
    "Optimizer": "config",
    "Preset": "config",
    "Runtime": "config",
    "Schedule": "config",
    "UserError": "core.errors",
    "evaluate": "metrics.evaluation.evaluate",
    "fit": "train",
    "initialize": "training.initialize",
    "iterate": "training.loop",
    "load_data": "data.sources",
    "load_generator": "inference.load",
    "load_recipe": "cli.recipes",
    "make_train_step": "training.step",
    "open_run": "reporting.run",
    "sample": "inference.sampling",
}
_NAMES = {"load_data": "load"}  # names that differ in their module

__all__ = [
    "Config",
    "Logging",
    "Objective",
    "Optimizer",
    "Preset",
    "Runtime",
    "Schedule",
    "UserError",
    "evaluate",
    "fit",
    "initialize",
    "iterate",
    "load_data",
    "load_generator",
    "load_recipe",
    "make_train_step",
    "open_run",
    "sample",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = importlib.import_module(f"{__name__}.{_MODULES[name]}")
    globals()[name] = value = getattr(module, _NAMES.get(name, name))
    return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
