"""The configuration of a run: frozen dataclasses, their validation, and their file format."""

from gan_jax.config.schema import *
