"""HTML page of one or several runs, in one self-contained file."""

import html
import json
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from string import Template
from typing import Any

import gan_jax
from gan_jax.reporting.html import tables
from gan_jax.reporting.html.tables import escape

COLORS, DASHES = 6, 4  # numbers of line colors in page.css, and of line styles in page.js
LIMIT = 5_000_000  # largest size of a page, in bytes
ROOM = 3_600_000  # part of it for images and audio


def page(runs: Sequence[dict[str, Any]]) -> str:
    """Render runs, from `collect.collect_run`, as one HTML page."""
    titles = _titles(runs)
    titled = [{**run, "title": title} for run, title in zip(runs, titles, strict=True)]
    has_bands = any(run["members"] > 1 for run in runs)
    data = {
        "runs": [{name: run[name] for name in ("title", "samples", "walk")} for run in titled],
        "panels": panels(titled),
    }
    files = resources.files("gan_jax.reporting.html")
    text = {name: (files / f"page.{name}").read_text("utf-8") for name in ("html", "css", "js")}
    title = " and ".join(titles) if len(titles) < 4 else f"{titles[0]} and {len(titles) - 1} more"
    band = "For a population: mean, with a band from minimum to maximum." if has_bands else ""
    is_single = len(runs) == 1
    return Template(text["html"]).substitute(
        title=escape(title),
        css=text["css"],
        js=text["js"],
        summary=tables.summary_table(titled),
        samples="\n".join(_samples(i, run, is_single=is_single) for i, run in enumerate(titled)),
        band=band,
        numbers=tables.curve_table(data["panels"]),
        walks="\n".join(_walk(i, run) for i, run in enumerate(titled)),
        scores=tables.score_cards(titled),
        config=tables.config_table(titled),
        versions=tables.version_table(titled),
        version=gan_jax.__version__,
        # Samples may contain any text; it must not end the script element.
        data=json.dumps(data, allow_nan=False, separators=(",", ":")).replace("</", "<\\/"),
    )


def _titles(runs: Sequence[dict[str, Any]]) -> list[str]:
    """Return unique titles: names of the runs, of their folders, or whole paths."""
    candidates = [[run["name"] for run in runs], [Path(run["folder"]).name for run in runs]]
    candidates.append([run["folder"] for run in runs])
    is_unique = (names for names in candidates if len(set(names)) == len(names))
    return next(is_unique, candidates[-1])


def panels(runs: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Merge the panels of runs by title.

    Lines of a single run differ in color; lines of several runs have one color for each run, and
    one dash pattern for each metric.
    """
    merged: dict[str, dict[str, Any]] = {}
    for number, run in enumerate(runs):
        for panel in run["panels"]:
            target = merged.setdefault(panel["title"], {**panel, "lines": []})
            for i, line in enumerate(panel["lines"]):
                is_single = len(runs) == 1
                style = {
                    "label": line["name"] if is_single else f"{run['title']}: {line['name']}",
                    "color": (i if is_single else number) % COLORS,
                    "dash": (i // COLORS if is_single else i) % DASHES,
                    "band": run["members"] > 1,
                }
                target["lines"].append({**line, **style})
    return [panel for panel in merged.values() if panel["lines"]]


def _samples(number: int, run: dict[str, Any], *, is_single: bool) -> str:
    """Render a run's last samples, to which page.js adds a slider, and its data."""
    members = [member for member in run["samples"] if member["frames"]]
    title, real = escape(run["title"]), run["real"]
    if not members:
        return f"<div><h3>{title}</h3><p>No samples yet.</p></div>"
    last = members[0]["frames"][-1]
    image = _content(last, f"Samples of {run['title']}, at step {last['step']}")
    data = _content(real, f"Data of {run['title']}") if real else ""
    details, figure = f"<details><summary>Data</summary>{data}</details>" if data else "", ""
    if is_single and data:
        heading = "<figcaption><h3>Data, in the same format</h3></figcaption>"
        details, figure = "", f"<figure>{heading}{data}</figure>"
    note = escape(" ".join(_notes(run, members)))
    return (
        f'<figure id="samples-{number}"><figcaption><h3>{title}</h3></figcaption>'
        f'<div class="controls"></div>{image}<p class="note">{note}</p>{details}'
        f"</figure>{figure}"
    )


def _notes(run: dict[str, Any], members: list[dict[str, Any]]) -> list[str]:
    frames, total = members[0]["frames"], members[0]["total"]
    notes = []
    if frames[-1].get("exact") is False:
        notes.append("Images are compressed for this page; those in samples/ are not.")
    if "audio" in frames[-1]:
        notes.append(f"The audio holds the first {frames[-1]['clips']} clips, one after another.")
    if total > len(frames):
        notes.append(f"{len(frames)} of {total} steps are shown.")
    if run["members"] > len(members):
        notes.append(f"{len(members)} of {run['members']} members are shown.")
    return notes


def _content(frame: dict[str, Any], alt: str) -> str:
    if "lines" in frame:
        label = html.escape(alt, quote=True)
        text = escape("\n".join(frame["lines"]))
        return f'<pre tabindex="0" role="region" aria-label="{label}">{text}</pre>'
    size = f'width="{frame["width"]}" height="{frame["height"]}"'
    image = f'<img src="{frame["image"]}" {size} alt="{html.escape(alt, quote=True)}">'
    if "audio" not in frame:
        return image
    label = html.escape(f"Audio: {alt}", quote=True)
    return f'{image}<audio controls src="{frame["audio"]}" aria-label="{label}"></audio>'


def _walk(number: int, run: dict[str, Any]) -> str:
    title, walk = escape(run["title"]), run["walk"]
    if walk is None:
        return f"<div><h3>{title}</h3><p>{escape(run['walk_note'])}</p></div>"
    alt = f"{walk['paths']} paths between random samples of {run['title']}, at the slider position"
    first = {"image": walk["frames"][0], "width": walk["width"], "height": walk["height"]}
    return (
        f'<figure id="walk-{number}"><figcaption><h3>{title}</h3></figcaption>'
        f'<div class="controls"></div>{_content(first, alt)}'
        f'<p class="note">{escape(walk["title"])}: {walk["paths"]} paths at once.</p></figure>'
    )
