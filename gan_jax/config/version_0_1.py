"""Conversion of configs of version 0.1, which have Python paths as types."""

import dataclasses
from typing import Any

from gan_jax.config.schema import FLAT_FIELDS, ImageData
from gan_jax.config.validation import DATASET_NAMES

# Dataclasses by module.
MODULES = {
    "gan_jax.config": ("Config", "Data", "Optimizer", "Penalties", "Pretrain"),
    "gan_jax.schedules": ("Schedule",),
    "gan_jax.sweeps": ("Sweep",),
    "gan_jax.augment": ("Augment",),
    "gan_jax.masks": ("Masks",),
}
TYPES = {f"{module}:{name}": name for module, names in MODULES.items() for name in names}
NETWORKS = {"networks.packed.Packed": "networks.pacgan.PacGAN"}
# Old names of fields, by type.
FIELDS = {
    "Augment": {"colour": "color"},
    "Data": {"draw": "subset_seed"},
    "networks.pacgan.PacGAN": {"pack": "pac_size"},
}
# Old string values, by type and field.
VALUES = {
    ("Augment", "diffaugment"): {"colour": "color"},
    ("Masks", "kinds"): {"free": "strokes", "pixels": "random"},
    ("Sweep", "field"): {"augment.colour": "augment.color"},
}
# Fields of Config that are in Logging or Runtime now.
SETTINGS = (
    *("log_every", "sample_every", "score_every", "checkpoint_every", "keep"),
    *("skip_limit", "microbatch", "remat"),
)
# Fields of Data that only some types of data have now.
DATA_FIELDS = (
    *("size", "channels", "cond", "symmetric", "length", "rate", "normalize", "spectrogram"),
    *("test_path", "level", "tokens", "vocabulary"),
)


def upgrade(tree: Any) -> Any:
    """Convert a JSON tree of version 0.1 to the current types, fields, and values.

    Trees that are not of version 0.1 are returned unchanged, to be refused by the decoder.
    """
    if isinstance(tree, list):
        return [upgrade(item) for item in tree]
    if not isinstance(tree, dict):
        return tree
    tree = {name: upgrade(item) for name, item in tree.items()}
    if isinstance(path := tree.get("_type"), str):
        public = path.removeprefix("gan_jax.").replace(":", ".")
        if path in TYPES:
            tree = _rename({**tree, "_type": TYPES[path]})
            if tree["_type"] == "Config":
                return _upgrade_config(tree)
            if tree["_type"] == "Data":
                return _upgrade_data(tree)
        elif path.startswith("gan_jax.networks.") and path.count(":") == 1:
            tree = _rename({**tree, "_type": NETWORKS.get(public, public)})
    return tree


def _rename(tree: dict[str, Any]) -> dict[str, Any]:
    """Replace old names of fields and old string values."""
    type_name = tree["_type"]
    names = FIELDS.get(type_name, {})
    renamed = {names.get(field, field): value for field, value in tree.items()}
    for (owner, field), values in VALUES.items():
        if owner == type_name and field in renamed:
            renamed[field] = _replace_values(renamed[field], values)
    return renamed


def _replace_values(value: Any, values: dict[str, str]) -> Any:
    if isinstance(value, list):
        return [_replace_values(item, values) for item in value]
    return values.get(value, value) if isinstance(value, str) else value


def _upgrade_config(tree: dict[str, Any]) -> dict[str, Any]:
    """Move the fields of Config into the dataclasses that have them now."""
    tree = {name: item for name, item in tree.items() if name not in SETTINGS}
    types = {"objective": "Objective", "prior": "Prior", "ema": "EMA"}
    for flag, path in FLAT_FIELDS.items():
        group, field = path.split(".")
        if flag in tree:
            tree.setdefault(group, {"_type": types[group]})[field] = tree.pop(flag)
    return tree


def _upgrade_data(tree: dict[str, Any]) -> dict[str, Any]:
    """Choose the type of Data by its name, and remove the fields of other types."""
    name = str(tree.get("name", "digits")).partition(":")[0]
    kind = next((kind for kind, names in DATASET_NAMES.items() if name in names), ImageData)
    removed = set(DATA_FIELDS) - {field.name for field in dataclasses.fields(kind)}
    fields = {name: item for name, item in tree.items() if name not in removed}
    return {**fields, "_type": kind.__name__}
