"""Content of a report, read from a run folder. The folder is not changed."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from gan_jax.config import Config, population, serialization
from gan_jax.core.errors import UserError
from gan_jax.reporting import curves
from gan_jax.reporting.formats import format_of
from gan_jax.reporting.html import latent_walk, media
from gan_jax.runs import folder as runs_folder
from gan_jax.runs import score_card, timing

FRAMES, AUDIO_FRAMES = 24, 8  # largest number of steps with samples, and with audio
MEMBERS = 8  # largest number of members with samples
LINES = 24  # largest number of lines of text samples of a step
POINTS = 1000  # largest number of points of a curve


def collect_run(workdir: Path, room: int, *, walk: bool = True) -> dict[str, Any]:
    """Collect the content of a run's report.

    Args:
        workdir: Run folder.
        room: Approximate number of characters for images and audio.
        walk: Include a latent walk.

    Returns:
        Name, progress, samples by member and step, latent walk, curves, scores, config and
        versions, ready for JSON.

    Raises:
        UserError: If `workdir` is not a run folder.
    """
    config = runs_folder.load_config(workdir)
    metrics, scores = (
        curves.read_curves(workdir) if (workdir / "metrics.jsonl").exists() else ({}, None)
    )
    launches = timing.read_timing(workdir)
    panels = [panel for panel in curves.panels(metrics, scores, POINTS) if panel.lines]
    content = {
        "name": config.name,
        "folder": str(workdir),
        "step": max((launch.get("to_step", 0) for launch in launches), default=0),
        "steps": config.steps,
        "members": len(population.member_configs(config)),
        "real": _real(workdir, config, room // 12),
        "samples": _samples(workdir, config, room * 2 // 3),
        "panels": [_panel(panel) for panel in panels],
        "cards": score_card.read_cards(path) if (path := workdir / "scores.json").exists() else [],
        "config": json.loads(serialization.dumps(config)),
        "versions": runs_folder.load_versions(workdir),
        "launches": launches,
        "walk": None,
        "walk_note": "Not included.",
    }
    if walk:
        try:
            content["walk"] = latent_walk.make_latent_walk(workdir, room // 5)
        except UserError as error:
            content["walk_note"] = f"None: {error}."
    return content


def _folders(workdir: Path, config: Config) -> list[tuple[str, Path]]:
    """Return titles and folders of samples, one for each member of a population."""
    samples = workdir / "samples"
    if not population.is_population(config):
        return [("", samples)]
    cells = [
        cell for cell in population.sweep_cells(config) for _ in config.seeds or (config.seed,)
    ]
    folders = []
    pairs = zip(population.member_configs(config), cells, strict=True)
    for number, (member, cell) in enumerate(pairs):
        swept = "".join(f", {name} {value:g}" for name, value in cell.items())
        title = f"member {number}: seed {member.seed}{swept}"
        folders.append((title, samples / f"member_{number:02d}"))
    return folders[:MEMBERS]


def _samples(workdir: Path, config: Config, room: int) -> list[dict[str, Any]]:
    """Collect each member's samples, one frame for each step."""
    folders, suffix = _folders(workdir, config), format_of(config).suffix
    audio_format = runs_folder.load_audio_format(workdir)
    frame_count = max((AUDIO_FRAMES if audio_format else FRAMES) // len(folders), 6)
    members = []
    for title, folder in folders:
        files = sorted(folder.glob(f"step_*{suffix}"))
        spaced = np.linspace(0, len(files) - 1, min(frame_count, len(files)))
        picked = np.unique(spaced.round()).astype(int)
        limit = room // len(folders) // max(len(picked), 1)
        frames = [_frame(files[i], limit, audio_format) for i in picked]
        members.append({"title": title, "frames": frames, "total": len(files)})
    return members


def _frame(path: Path, limit: int, audio_format: Any) -> dict[str, Any]:
    """Collect the samples of one step: an image, text, or an image and audio."""
    frame: dict[str, Any] = {"step": int(path.stem.removeprefix("step_"))}
    if path.suffix == ".txt":
        lines = path.read_text(encoding="utf-8").splitlines()
        return {**frame, "lines": lines[:LINES]}
    wav = path.with_suffix(".wav")
    if audio_format and wav.exists():
        frame["audio"], frame["clips"] = media.audio_address(wav, audio_format, limit * 2 // 3)
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
    """Convert a panel to mean, minimum and maximum over the members that are finite."""
    lines = []
    for name, (x, y) in panel.lines.items():
        steps, *bands = curves.plot_band(x, y)
        if len(steps):
            named = zip(("mean", "low", "high"), bands, strict=True)
            values = {key: [float(f"{v:.5g}") for v in band] for key, band in named}
            last = y[np.isfinite(y).any(1)][-1]
            last = last[np.isfinite(last)]
            std = {"last_std": float(f"{last.std(ddof=1):.3g}")} if len(last) > 1 else {}
            lines.append({"name": name, "x": [round(float(v)) for v in steps], **values, **std})
    return {"title": panel.title, "log": panel.logarithmic, "lines": lines}
