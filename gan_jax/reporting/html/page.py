"""The page of runs: collected runs in, one HTML text out, with all that it shows inside."""

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

COLOURS, DASHES = 6, 4  # of lines in a diagram, as page.css and page.js have them
LIMIT = 5_000_000  # bytes of a page
ROOM = 3_600_000  # of these, for pictures and sounds


def page(runs: Sequence[dict[str, Any]]) -> str:
    """Of runs as `collect.collect_run` gives them, the first of which others are compared with."""
    titles = _titles(runs)
    shown = [{**run, "title": title} for run, title in zip(runs, titles, strict=True)]
    several = any(run["members"] > 1 for run in runs)
    data = {
        "runs": [{name: run[name] for name in ("title", "samples", "walk")} for run in shown],
        "panels": panels(shown),
    }
    files = resources.files("gan_jax.reporting.html")
    text = {name: (files / f"page.{name}").read_text("utf-8") for name in ("html", "css", "js")}
    title = " and ".join(titles) if len(titles) < 4 else f"{titles[0]} and {len(titles) - 1} more"
    return Template(text["html"]).substitute(
        title=escape(title),
        css=text["css"],
        js=text["js"],
        summary=tables.summary_table(shown),
        samples="\n".join(_samples(i, run, alone=len(runs) == 1) for i, run in enumerate(shown)),
        band="Of a population: the mean, in a band from the least to the most." if several else "",
        numbers=tables.curve_table(data["panels"]),
        walks="\n".join(_walk(i, run) for i, run in enumerate(shown)),
        scores=tables.score_cards(shown),
        config=tables.config_table(shown),
        versions=tables.version_table(shown),
        version=gan_jax.__version__,
        # No text in it ends the element that holds it.
        data=json.dumps(data, allow_nan=False, separators=(",", ":")).replace("</", "<\\/"),
    )


def _titles(runs: Sequence[dict[str, Any]]) -> list[str]:
    """Names; the folders' where two runs have one name, and the whole way to them where these are
    the same too."""
    ways = [[run["name"] for run in runs], [Path(run["folder"]).name for run in runs]]
    ways.append([run["folder"] for run in runs])
    return next((names for names in ways if len(set(names)) == len(names)), ways[-1])


def panels(runs: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The runs' panels, those of one title in one: of one run a colour a line, of several a colour
    a run and a dash a line."""
    found: dict[str, dict[str, Any]] = {}
    for number, run in enumerate(runs):
        for panel in run["panels"]:
            whole = found.setdefault(panel["title"], {**panel, "lines": []})
            for i, line in enumerate(panel["lines"]):
                alone = len(runs) == 1
                look = {
                    "label": line["name"] if alone else f"{run['title']}: {line['name']}",
                    "colour": (i if alone else number) % COLOURS,
                    "dash": (i // COLOURS if alone else i) % DASHES,
                    "band": run["members"] > 1,
                }
                whole["lines"].append({**line, **look})
    return [one for one in found.values() if one["lines"]]


def _samples(number: int, run: dict[str, Any], *, alone: bool) -> str:
    """The last samples of a run, which page.js puts under a slider; and the data, beside them or
    below."""
    kept = [one for one in run["samples"] if one["frames"]]
    title, real = escape(run["title"]), run["real"]
    if not kept:
        return f"<div><h3>{title}</h3><p>No samples yet.</p></div>"
    last = kept[0]["frames"][-1]
    notes = []
    if last.get("exact") is False:
        notes.append("Pictures are compressed for this page; those in samples/ are not.")
    if "sound" in last:
        notes.append(f"To be heard: the first {last['sounds']} of them, one after another.")
    if kept[0]["of"] > len(kept[0]["frames"]):
        notes.append(f"Of {len(kept[0]['frames'])} of {kept[0]['of']} steps.")
    if run["members"] > len(kept):
        notes.append(f"Of {len(kept)} of {run['members']} members.")
    shown = _shown(last, f"Samples of {run['title']}, at step {last['step']}")
    data = _shown(real, f"The data of {run['title']}") if real else ""
    below, beside = f"<details><summary>The data</summary>{data}</details>" if data else "", ""
    if alone and data:
        heading = "<figcaption><h3>The data, in the same form</h3></figcaption>"
        below, beside = "", f"<figure>{heading}{data}</figure>"
    return (
        f'<figure id="samples-{number}"><figcaption><h3>{title}</h3></figcaption>'
        f'<div class="controls"></div>{shown}<p class="note">{escape(" ".join(notes))}</p>{below}'
        f"</figure>{beside}"
    )


def _shown(frame: dict[str, Any], alt: str) -> str:
    if "lines" in frame:
        label = html.escape(alt, quote=True)
        text = escape("\n".join(frame["lines"]))
        return f'<pre tabindex="0" role="region" aria-label="{label}">{text}</pre>'
    size = f'width="{frame["width"]}" height="{frame["height"]}"'
    picture = f'<img src="{frame["image"]}" {size} alt="{html.escape(alt, quote=True)}">'
    if "sound" not in frame:
        return picture
    label = html.escape(f"Sounds: {alt}", quote=True)
    return f'{picture}<audio controls src="{frame["sound"]}" aria-label="{label}"></audio>'


def _walk(number: int, run: dict[str, Any]) -> str:
    title, walk = escape(run["title"]), run["walk"]
    if walk is None:
        return f"<div><h3>{title}</h3><p>{escape(run['walk_note'])}</p></div>"
    alt = f"{walk['ways']} ways between random samples of {run['title']}, at the slider's place"
    first = {"image": walk["frames"][0], "width": walk["width"], "height": walk["height"]}
    return (
        f'<figure id="walk-{number}"><figcaption><h3>{title}</h3></figcaption>'
        f'<div class="controls"></div>{_shown(first, alt)}'
        f'<p class="note">{escape(walk["title"])}: {walk["ways"]} ways at once.</p></figure>'
    )
