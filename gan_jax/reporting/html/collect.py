"""What a page shows of a run folder, as JSON has it. Nothing in the folder is changed."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from gan_jax.config import Config, TextData, population, serialization
from gan_jax.core.errors import UserError
from gan_jax.reporting import curves
from gan_jax.reporting.formats import format_of
from gan_jax.reporting.html import latent_walk, media
from gan_jax.runs import folder as runs_folder
from gan_jax.runs import score_card, timing

FRAMES, HEARD = 24, 8  # steps of which samples are shown, and of which sounds are heard, at most
MEMBERS = 8  # of a population whose samples are shown
LINES = 24  # of a text's samples, a step
POINTS = 1000  # of a curve


def collect_run(workdir: Path, room: int, *, walk: bool = True) -> dict[str, Any]:
    """Name, kind, samples by member and step, latent walk, curves, scores, config and versions; the
    pictures and sounds in at most about `room` characters. Raises UserError where it is no run
    folder."""
    config = runs_folder.load_config(workdir)
    metrics, scores = (
        curves.read_curves(workdir) if (workdir / "metrics.jsonl").exists() else ({}, None)
    )
    launches = timing.read_timing(workdir)
    members = population.member_configs(config)
    found = {
        "name": config.name,
        "folder": str(workdir),
        "kind": _kind(workdir, config),
        "step": max((one.get("to_step", 0) for one in launches), default=0),
        "steps": config.steps,
        "members": len(members),
        "real": _real(workdir, config, room // 12),
        "samples": _samples(workdir, config, room * 2 // 3),
        "panels": [_panel(one) for one in curves.panels(metrics, scores, POINTS) if one.lines],
        "cards": score_card.read_cards(path) if (path := workdir / "scores.json").exists() else [],
        "config": json.loads(serialization.dumps(config)),
        "versions": runs_folder.load_versions(workdir),
        "launches": launches,
        "walk": None,
        "walk_note": "It was not asked for.",
    }
    if walk:
        try:
            found["walk"] = latent_walk.make_latent_walk(workdir, room // 5)
        except UserError as error:
            found["walk_note"] = f"None: {error}."
    return found


def _kind(workdir: Path, config: Config) -> str:
    if isinstance(config.data, TextData):
        return "texts"
    if runs_folder.load_audio_format(workdir):
        return "sounds"
    shape = runs_folder.load_example(workdir, 1).real.shape
    return "points" if len(shape) == 2 else "repairs" if config.masks.kinds else "pictures"


def _folders(workdir: Path, config: Config) -> list[tuple[str, Path]]:
    """Where samples lie, of a population by member."""
    samples = workdir / "samples"
    if not population.is_population(config):
        return [("", samples)]
    cells = [
        cell for cell in population.sweep_cells(config) for _ in config.seeds or (config.seed,)
    ]
    named = []
    for number, (one, cell) in enumerate(
        zip(population.member_configs(config), cells, strict=True)
    ):
        swept = "".join(f", {name} {value:g}" for name, value in cell.items())
        title = f"member {number}: seed {one.seed}{swept}"
        named.append((title, samples / f"member_{number:02d}"))
    return named[:MEMBERS]


def _samples(workdir: Path, config: Config, room: int) -> list[dict[str, Any]]:
    """A member's frames in turn, each of one step."""
    folders, suffix = _folders(workdir, config), format_of(config).suffix
    heard = runs_folder.load_audio_format(workdir)
    most = max((HEARD if heard else FRAMES) // len(folders), 6)
    found = []
    for title, folder in folders:
        files = sorted(folder.glob(f"step_*{suffix}"))
        spread = np.linspace(0, len(files) - 1, min(most, len(files)))
        picked = np.unique(spread.round()).astype(int)
        limit = room // len(folders) // max(len(picked), 1)
        frames = [_frame(files[i], limit, heard) for i in picked]
        found.append({"title": title, "frames": frames, "of": len(files)})
    return found


def _frame(path: Path, limit: int, heard: Any) -> dict[str, Any]:
    """Samples of one step: a picture, a text, or a picture and a sound."""
    frame: dict[str, Any] = {"step": int(path.stem.removeprefix("step_"))}
    if path.suffix == ".txt":
        lines = path.read_text(encoding="utf-8").splitlines()
        return {**frame, "lines": lines[:LINES], "of": len(lines)}
    wav = path.with_suffix(".wav")
    if heard and wav.exists():
        frame["sound"], frame["sounds"] = media.audio_address(wav, heard, limit * 2 // 3)
        limit //= 3
    with Image.open(path) as image:
        frame["width"], frame["height"] = image.size
        frame["image"], frame["exact"] = media.image_address(image, limit)
    return frame


def _real(workdir: Path, config: Config, limit: int) -> dict[str, Any] | None:
    suffix = format_of(config).suffix
    path = workdir / "samples" / f"real{suffix}"
    if not path.exists():
        return None
    if suffix == ".txt":
        return {"lines": path.read_text(encoding="utf-8").splitlines()[:LINES]}
    with Image.open(path) as image:
        size = {"width": image.width, "height": image.height}
        return {"image": media.image_address(image, limit)[0], **size}


def _panel(panel: curves.Panel) -> dict[str, Any]:
    """With mean, least and most over the members; None where no member is finite."""
    lines = []
    for name, (x, y) in panel.lines.items():
        at, *parts = curves.plot_band(x, y)
        if len(at):
            found = zip(("mean", "low", "high"), parts, strict=True)
            numbers = {key: [float(f"{v:.5g}") for v in row] for key, row in found}
            end = y[np.isfinite(y).any(1)][-1]
            end = end[np.isfinite(end)]
            last = {"last_sd": float(f"{end.std(ddof=1):.3g}")} if len(end) > 1 else {}
            lines.append({"name": name, "x": [round(float(v)) for v in at], **numbers, **last})
    return {"title": panel.title, "log": panel.logarithmic, "lines": lines}
