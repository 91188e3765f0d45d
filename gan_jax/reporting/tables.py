"""The README's tables of runs on record: what they were, and how they scored."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gan_jax.core import files
from gan_jax.reporting.sweeps import format_mean_std

# After the point, for scores that are not told to three.
DIGITS = {"frechet": 2, "kernel": 4, "classifier_score": 2, "classes_covered": 1}
DIGITS |= {"speakers_covered": 1, "pitches_covered": 1}


def _seeds(runs: Sequence[dict[str, Any]]) -> str:
    """`0, 1, 2`, or `0 to 9, at once` of a population."""
    seeds = [one["seed"] for one in runs]
    together = ", at once" if runs[0].get("members", 1) > 1 else ""
    if len(seeds) > 2 and seeds == list(range(seeds[0], seeds[-1] + 1)):
        return f"{seeds[0]} to {seeds[-1]}{together}"
    return ", ".join(map(str, seeds)) + together


def _of_pictures(entry: dict[str, Any]) -> bool:
    """Whether its samples were compared with real pictures, and not counted by mode."""
    cards = entry.get("protocol")
    return bool(cards) and cards[0]["features"] != "tokens" and cards[0]["n_real"] > 0


def _of_sounds(entry: dict[str, Any]) -> bool:
    """Whether they were pictures of sounds."""
    return _of_pictures(entry) and "sound" in entry.get("versions", {}).get("data", {})


def _samples(path: Path) -> str:
    """A link to what a recorded run made: its text, its sounds, or its picture."""
    kinds = {".txt": "text", ".wav": "sounds", ".png": "picture"}
    there = [kind for kind in kinds if path.with_suffix(kind).exists()] or [".png"]
    return f"[{kinds[there[0]]}](experiments/results/{path.stem}{there[0]})"


def current_command(command: str) -> str:
    """Return a recorded command with today's names of flags."""
    return command.replace(" --small", " --preset small")


def results_table(folder: Path) -> str:
    """The README's table: a row for each NAME.json with runs in `folder`, by name, with the command
    that began the first of them.

    Training time and speed of seeds trained at once are of all of them together.
    """
    lines = [
        "| command | seeds | training | examples/s | critic loss | generator loss | scores |",
        "|---|---|---|---|---|---|---|",
    ]
    for path in sorted(folder.glob("*.json")):
        entry = files.read_json(path)
        if "runs" not in entry:
            continue
        runs = entry["runs"]
        launched = [one for one in runs if one["launches"]]
        # Of texts one temperature and one order; studies/text_study.py has all.
        names = [n for n in runs[0]["scores"] if not re.search(r" at |bleu_[235]$", n)]
        shown = [f"{n} {format_mean_std([r['scores'][n] for r in runs], 3)}" for n in names]
        if _of_pictures(entry):
            shown = []  # they have a table of their own
        if not shown or path.with_suffix(".txt").exists():
            shown.append(_samples(path))
        cells = [
            f"`{current_command(runs[0]['launches'][0]['command'])}`",
            _seeds(runs),
            f"{runs[0]['steps']} steps, "
            f"{format_mean_std([r['train_seconds'] for r in launched], 0)} s",
            format_mean_std([r["examples_per_second"] for r in launched], 0),
            format_mean_std([r["last_tenth"]["disc_loss"] for r in runs], 3),
            format_mean_std([r["last_tenth"]["gen_loss"] for r in runs], 3),
            ", ".join(shown),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _entries(folder: Path) -> list[dict[str, Any]]:
    """What NAME.json hold in `folder`, by name."""
    return [files.read_json(path) for path in sorted(folder.glob("*.json"))]


def _says(entry: dict[str, Any], metric: str) -> str:
    """Mean and standard deviation over the seeds; nothing where there is no such score."""
    values = [one["scores"][metric] for one in entry["runs"] if metric in one["scores"]]
    return format_mean_std(values, DIGITS.get(metric, 3)) if values else ""


def _title(entry: dict[str, Any]) -> str:
    seeds = len(entry["runs"])
    return f"`{entry['experiment']}`, {seeds} seed{'s' * (seeds > 1)}"


def image_score_table(folder: Path) -> str:
    """The README's table of scores of pictures: a row for each NAME.json in `folder` that has them,
    by name. Means and standard deviations over the seeds."""
    scored = [one for one in _entries(folder) if _of_pictures(one) and not _of_sounds(one)]
    names = list(dict.fromkeys(one["metric"] for entry in scored for one in entry["protocol"]))
    head = ["experiment", "features", "samples", "reals", *names]
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    for entry in scored:
        first = entry["protocol"][0]
        real = f"{first['n_real']} of {first['real']}"
        cells = [_title(entry), first["features"], str(first["n_fake"]), real]
        lines.append(f"| {' | '.join(cells + [_says(entry, name) for name in names])} |")
    return "\n".join(lines)


def audio_score_table(folder: Path) -> str:
    """The README's table of scores of sounds: a column for each experiment, a row a metric."""
    scored = [one for one in _entries(folder) if _of_sounds(one)]
    names = list(dict.fromkeys(one["metric"] for entry in scored for one in entry["protocol"]))
    rows = [["samples", *(str(one["protocol"][0]["n_fake"]) for one in scored)]]
    rows += [[name, *(_says(entry, name) for entry in scored)] for name in names]
    lines = [f"| {' | '.join(['', *map(_title, scored)])} |", f"|{'---|' * (1 + len(scored))}"]
    return "\n".join(lines + [f"| {' | '.join(row)} |" for row in rows])
