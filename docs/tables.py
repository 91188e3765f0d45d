"""Tables of results, from the records under experiments/results/.

`python -m docs.tables` rewrites those of README.md: a table stands between the comments
<!-- NAME --> and <!-- end of NAME -->. Pages of the site include theirs from docs/_generated/.
"""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import report
from gan_jax.cli import recipes
from gan_jax.core import files
from gan_jax.reporting import tables as reporting_tables
from studies import augment_study, common, inpaint_study, scaling_model, streaming_study, text_study

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "experiments" / "results"
LABELS = {"won_back": "accuracy recovered"}  # metrics whose recorded name does not explain itself
FIRST = ("ring_mlp", "digits_relativistic", "mnist_cdcgan")  # commands to begin with
# Recipes of the README's table, one for each kind of data or task.
HEADLINES = (
    "ring_mlp",
    "digits_relativistic",
    "mnist_cdcgan",
    "mnist_inpaint",
    "stacked_mnist_dcgan",
    "cifar10_r3gan",
    "spoken_digit_specgan",
    "coco_relgan",
)


def tables() -> dict[str, str]:
    """Return all tables as Markdown, by name."""
    return {
        "first": headlines(FIRST),
        "headlines": headlines(HEADLINES),
        "results": reporting_tables.results_table(RESULTS),
        "scores": reporting_tables.image_score_table(RESULTS),
        "sounds": reporting_tables.audio_score_table(RESULTS),
        "cifar10": _cifar10_scores(),
        "speed": report.table(_read("benchmark.json")),
        "repairs": inpaint_study.table(
            [files.read_json(path) for path in sorted(RESULTS.glob("*_inpaint*_study.json"))]
        ),
        "augmentation": augment_study.table(_read("augment_study.json")),
        "sentences": text_study.table(_read("coco_relgan_small_study.json")),
        "scaling": scaling_model.table(_read("scaling_model.json")),
        "streaming": streaming_study.table(_read("streaming.json")),
    }


def _read(name: str) -> Any:
    return json.loads((RESULTS / name).read_text())


def headlines(names: Sequence[str]) -> str:
    """Return a table of the named recipes: recorded command, cost, and the first score on record.

    The command has all recorded flags, and its cost and score are those of all its seeds.
    The accuracy recovered by inpainting is the share of the classifier accuracy lost by the best
    classical method that the GAN does not lose (`won_back` in the records).
    """
    summaries = {summary.name: summary for summary in recipes.list_recipes()}
    rows = []
    for name in names:
        summary = summaries[name]
        preset = recipes.load_recipe(name).presets[summary.recorded]
        record = _read(f"{preset.config.name}.json")
        recorded = record["runs"][0]["launches"][0]["command"]
        command = reporting_tables.current_command(recorded)
        command = command.replace("python -m experiments.", "gan-jax train ")
        metric, _, values = summary.result.partition(" ")
        score = f"{LABELS.get(metric, metric)} {values}".strip()
        rows.append([f"`{command}`", summary.cost, score])
    return common.table(("command", "training", "result"), rows)


def _cifar10_scores() -> str:
    """Return the scores of the small CIFAR-10 recipes at fifths of their training."""
    rows = []
    for path in sorted(RESULTS.glob("cifar10_*_small.json")):
        record = files.read_json(path)
        ((run,), curve) = record["runs"], record["score_curve"]
        fifths = [5 * step / run["steps"] for step in curve["step"]]
        if fifths != [1, 2, 3, 4, 5]:
            raise ValueError(f"steps of {path.name} must be fifths, got {curve['step']}")
        row = [f"`{record['experiment']}`", f"{run['steps']} steps, {run['train_seconds']:.0f} s"]
        rows.append(row + [f"{distance:.1f}" for distance in curve["frechet"]])
    return common.table(("experiment", "training", *(f"{k}/5" for k in range(1, 6))), rows)


def site_tables() -> dict[str, str]:
    """Return the tables with links for a page in docs/results/: to files, and to recipes."""
    return {name: _for_site(table) + "\n" for name, table in tables().items()}


def _for_site(table: str) -> str:
    table = table.replace("](experiments/", "](../../experiments/")
    command = re.compile(r"`python -m experiments\.(\w+)")
    return command.sub(r"[\1](../recipes/\1.md): \g<0>", table)


def updated(text: str) -> str:
    """Return a README's text with its tables as the records have them.

    Raises:
        ValueError: If the text has a place for a table that does not exist.
    """
    known = tables()
    for name in re.findall(r"<!-- end of (\w+) -->", text):
        if name not in known:
            raise ValueError(f"table must be one of {', '.join(known)}, got {name}")
        place = re.compile(f"(<!-- {name} -->\n).*?(\n<!-- end of {name} -->)", re.DOTALL)
        text = place.sub(lambda match, name=name: match[1] + known[name] + match[2], text)
    return text


if __name__ == "__main__":
    readme = ROOT / "README.md"
    files.write_atomically(readme, updated(readme.read_text()))
