"""Results of a recipe on record, from experiments/results/: cost, scores, samples, and curves."""

import functools
import json
from pathlib import Path
from typing import Any

from docs.configuration import escape
from gan_jax.cli import recipes
from gan_jax.cli.recipes import Recipe
from gan_jax.reporting import tables
from gan_jax.reporting.sweeps import format_mean_std

RESULTS = Path(__file__).parent.parent / "experiments" / "results"
FOLDER = "../../experiments/results"  # from a generated page
IMAGES = {"": "Samples", "_real": "Real examples", "_curves": "Curves", "_study": "Study"}


@functools.cache
def _summaries() -> dict[str, recipes.Summary]:
    return {summary.name: summary for summary in recipes.list_recipes()}


def section(recipe: Recipe) -> str:
    """Return the section on results: one for each preset on record, or a sentence."""
    names = [preset.config.name for preset in recipe.presets.values()]
    recorded = [name for name in names if (RESULTS / f"{name}.json").is_file()]
    parts = ["## Result\n"]
    if not recorded:
        parts.append("No result is on record. The tests train or trace its first steps.\n")
    cost = _summaries()[recipe.name].cost
    return "\n".join([*parts, *(_record(name, cost) for name in recorded)])


def _record(name: str, cost: str) -> str:
    """Return command, cost, scores and files of one record."""
    record = json.loads((RESULTS / f"{name}.json").read_text())
    runs = record["runs"]
    command = tables.current_command(runs[0]["launches"][0]["command"])
    seeds = ", ".join(str(run["seed"]) for run in runs)
    commit = record["versions"]["git_commit"]
    link = f"{{download}}`{name}.json <{FOLDER}/{name}.json>`"
    facts = [
        f"`{command}`\n",
        f"{runs[0]['steps']} steps, seeds {seeds}. Training took {cost}."
        f" The record {link} has config, versions, device, and curves"
        f"{f' (commit `{commit[:10]}`)' if commit else ''}.\n",
    ]
    return "\n".join([*facts, _scores(runs, record), _files(name)])


def _scores(runs: list[dict[str, Any]], record: dict[str, Any]) -> str:
    """Return the table of scores and last losses, over the seeds."""
    cards = {card["metric"]: card for card in record.get("protocol") or []}
    lines = [
        "| metric | value | perfect samples | features | samples | real |",
        "|---|---|---|---|---|---|",
    ]
    for metric in runs[0]["scores"]:
        if " at " in metric:
            continue
        card = cards.get(metric, {})
        value = format_mean_std([run["scores"][metric] for run in runs], 3)
        expected = card.get("expected")
        real = f"{card['n_real']} of {card['real']}" if card.get("n_real") else ""
        cells = (value, "" if expected is None else f"{expected:.4g}", card.get("features", ""))
        rest = (str(card.get("n_fake", "")), real)
        lines.append(f"| {metric} | {' | '.join(map(escape, (*cells, *rest)))} |")
    for loss in ("disc_loss", "gen_loss"):
        value = format_mean_std([run["last_tenth"][loss] for run in runs], 3)
        lines.append(f"| {loss}, last tenth | {value} | | | | |")
    return "\n".join([*lines, ""])


def _files(name: str) -> str:
    """Return the images, sounds and texts of a record."""
    parts = []
    for suffix, title in IMAGES.items():
        stem = f"{name}{suffix}"
        if (RESULTS / f"{stem}.png").is_file():
            parts.append(
                f"```{{figure}} {FOLDER}/{stem}.png\n:alt: {title} of {name}\n\n{title}\n```\n"
            )
        if (RESULTS / f"{stem}.wav").is_file():
            audio = f'<audio controls preload="none" src="../audio/{stem}.wav"></audio>'
            parts.append(f"{title}, to hear:\n\n```{{raw}} html\n{audio}\n```\n")
        if (RESULTS / f"{stem}.txt").is_file():
            lines = (RESULTS / f"{stem}.txt").read_text().splitlines()[:8]
            parts.append("\n".join([f"{title}:\n", "```text", *lines, "```", ""]))
    return "\n".join(parts)
