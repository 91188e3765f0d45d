"""Configuration of a run: frozen dataclasses, their validation, and their file format."""

from gan_jax.config.schedules import Schedule, Value
from gan_jax.config.schema import (
    EMA,
    AudioData,
    Augment,
    Config,
    Data,
    ImageData,
    Logging,
    Masks,
    Objective,
    Optimizer,
    Penalties,
    PointData,
    Preset,
    Pretrain,
    Prior,
    Runtime,
    TextData,
    differences,
)
from gan_jax.config.sweeps import Sweep

__all__ = [
    "EMA",
    "AudioData",
    "Augment",
    "Config",
    "Data",
    "ImageData",
    "Logging",
    "Masks",
    "Objective",
    "Optimizer",
    "Penalties",
    "PointData",
    "Preset",
    "Pretrain",
    "Prior",
    "Runtime",
    "Schedule",
    "Sweep",
    "TextData",
    "Value",
    "differences",
]
