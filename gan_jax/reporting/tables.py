"""Tables of recorded runs and their scores, in Markdown."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gan_jax.core import files
from gan_jax.reporting.sweeps import format_mean_std

# Number of digits after the point, if not 3.
DIGITS = {"frechet": 2, "kernel": 4, "classifier_score": 2, "classes_covered": 1}
DIGITS |= {"speakers_covered": 1, "pitches_covered": 1}


def _seeds(runs: Sequence[dict[str, Any]]) -> str:
    """Format seeds as `0, 1, 2`, or `0 to 9, at once` for a population."""
    seeds = [run["seed"] for run in runs]
    suffix = ", at once" if runs[0].get("members", 1) > 1 else ""
    if len(seeds) > 2 and seeds == list(range(seeds[0], seeds[-1] + 1)):
        return f"{seeds[0]} to {seeds[-1]}{suffix}"
    return ", ".join(map(str, seeds)) + suffix


def _has_feature_scores(entry: dict[str, Any]) -> bool:
    """Return whether samples were compared with real images or audio, rather than by mode."""
    cards = entry.get("protocol")
    return bool(cards) and cards[0]["features"] != "tokens" and cards[0]["n_real"] > 0


def _has_audio_scores(entry: dict[str, Any]) -> bool:
    return _has_feature_scores(entry) and "sound" in entry.get("versions", {}).get("data", {})


def _samples(path: Path) -> str:
    """Link to a recorded run's samples: text, audio or image."""
    kinds = {".txt": "text", ".wav": "audio", ".png": "image"}
    suffix = next((suffix for suffix in kinds if path.with_suffix(suffix).exists()), ".png")
    return f"[{kinds[suffix]}](experiments/results/{path.stem}{suffix})"


def current_command(command: str) -> str:
    """Update the flags of a recorded command to their current names.

    Example:
        >>> current_command("python -m experiments.mnist_dcgan --small")
        'python -m experiments.mnist_dcgan --preset small'
    """
    return command.replace(" --small", " --preset small")


def results_table(folder: Path) -> str:
    """Format a table of the records in a folder, with one row for each experiment.

    The command is that of the first launch. Training time and speed of seeds that trained at once
    are those of all seeds together.
    """
    head = ["command", "seeds", "training", "examples/s"]
    head += ["discriminator loss", "generator loss", "scores"]
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    for path in sorted(folder.glob("*.json")):
        entry = files.read_json(path)
        if "runs" not in entry:
            continue
        runs = entry["runs"]
        launched = [run for run in runs if run["launches"]]
        # Texts have one temperature and one order here; studies/text_study.py has all of them.
        names = [n for n in runs[0]["scores"] if not re.search(r" at |bleu_[235]$", n)]
        scores = [f"{n} {format_mean_std([r['scores'][n] for r in runs], 3)}" for n in names]
        if _has_feature_scores(entry):
            scores = []  # see image_score_table and audio_score_table
        if not scores or path.with_suffix(".txt").exists():
            scores.append(_samples(path))
        cells = [
            f"`{current_command(runs[0]['launches'][0]['command'])}`",
            _seeds(runs),
            f"{runs[0]['steps']} steps, "
            f"{format_mean_std([r['train_seconds'] for r in launched], 0)} s",
            format_mean_std([r["examples_per_second"] for r in launched], 0),
            format_mean_std([r["last_tenth"]["disc_loss"] for r in runs], 3),
            format_mean_std([r["last_tenth"]["gen_loss"] for r in runs], 3),
            ", ".join(scores),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _entries(folder: Path) -> list[dict[str, Any]]:
    """Read the records of a folder, sorted by name."""
    return [files.read_json(path) for path in sorted(folder.glob("*.json"))]


def _format_score(entry: dict[str, Any], metric: str) -> str:
    """Format the mean and standard deviation over the seeds; empty if there is no such score."""
    values = [run["scores"][metric] for run in entry["runs"] if metric in run["scores"]]
    return format_mean_std(values, DIGITS.get(metric, 3)) if values else ""


def _title(entry: dict[str, Any]) -> str:
    seeds = len(entry["runs"])
    return f"`{entry['experiment']}`, {seeds} seed{'s' * (seeds > 1)}"


def image_score_table(folder: Path) -> str:
    """Format a table of image scores, with one row for each experiment.

    Scores are means and standard deviations over the seeds.
    """
    scored = [
        entry
        for entry in _entries(folder)
        if _has_feature_scores(entry) and not _has_audio_scores(entry)
    ]
    names = list(dict.fromkeys(card["metric"] for entry in scored for card in entry["protocol"]))
    head = ["experiment", "features", "samples", "reals", *names]
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    for entry in scored:
        first = entry["protocol"][0]
        real = f"{first['n_real']} of {first['real']}"
        cells = [_title(entry), first["features"], str(first["n_fake"]), real]
        lines.append(f"| {' | '.join(cells + [_format_score(entry, name) for name in names])} |")
    return "\n".join(lines)


def audio_score_table(folder: Path) -> str:
    """Format a table of audio scores, with one column for each experiment, one row per metric."""
    scored = [entry for entry in _entries(folder) if _has_audio_scores(entry)]
    names = list(dict.fromkeys(card["metric"] for entry in scored for card in entry["protocol"]))
    rows = [["samples", *(str(entry["protocol"][0]["n_fake"]) for entry in scored)]]
    rows += [[name, *(_format_score(entry, name) for entry in scored)] for name in names]
    lines = [f"| {' | '.join(['', *map(_title, scored)])} |", f"|{'---|' * (1 + len(scored))}"]
    return "\n".join(lines + [f"| {' | '.join(row)} |" for row in rows])
