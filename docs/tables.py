"""Tables of README.md, written from the files under experiments/results/.

Command  python -m docs.tables

A table stands between the comments <!-- NAME --> and <!-- end of NAME -->.
"""

import json
import re
from pathlib import Path

from benchmarks import report
from gan_jax.core import files
from gan_jax.reporting import tables as reporting_tables
from gan_jax.reporting.sweeps import format_mean_std
from studies import augment_study, common, inpaint_study, scaling_model, streaming_study, text_study

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "experiments" / "results"


def tables() -> dict[str, str]:
    """Each table, by its name in the README."""
    benchmark = json.loads((RESULTS / "benchmark.json").read_text())
    return {
        "first": _first(),
        "results": reporting_tables.results_table(RESULTS),
        "scores": reporting_tables.image_score_table(RESULTS),
        "sounds": reporting_tables.audio_score_table(RESULTS),
        "cifar10": _side_by_side(),
        "speed": report.table(benchmark),
        **_studies(),
    }


FIRST = {  # recorded commands to begin with, each with the score that says most
    "ring_mlp": ("covered", "of 8 modes found"),
    "digits_relativistic": ("frechet", "Frechet distance by the digits' classifier"),
    "mnist_dcgan_small": ("frechet", "Frechet distance by MNIST's classifier"),
}


def _first() -> str:
    """A few commands, how long each took, and what it came to."""
    rows = []
    for name, (metric, meaning) in FIRST.items():
        runs = json.loads((RESULTS / f"{name}.json").read_text())["runs"]
        command = reporting_tables.current_command(runs[0]["launches"][0]["command"])
        score = format_mean_std([one["scores"][metric] for one in runs], 2)
        rows.append([f"`{command}`", f"{runs[0]['train_seconds']:.0f} s", f"{score} {meaning}"])
    return common.table(("command", "2 CPU cores", "on record"), rows)


def _side_by_side() -> str:
    """Scores of the small CIFAR-10 recipes on the way, at fifths of trainings of about one cost."""
    rows = []
    for path in sorted(RESULTS.glob("cifar10_*_small.json")):
        found = json.loads(path.read_text())
        ((run,), curve) = found["runs"], found["score_curve"]
        fifths = [5 * step / run["steps"] for step in curve["step"]]
        if fifths != [1, 2, 3, 4, 5]:
            raise ValueError(f"{path.name} was scored at steps {curve['step']}, not at its fifths")
        row = [f"`{found['experiment']}`", f"{run['steps']} steps, {run['train_seconds']:.0f} s"]
        rows.append(row + [f"{distance:.1f}" for distance in curve["frechet"]])
    return common.table(("experiment", "training", *(f"{k}/5" for k in range(1, 6))), rows)


def _studies() -> dict[str, str]:
    """Tables of the studies that are on record."""
    found = {}
    if repairs := sorted(RESULTS.glob("*_inpaint*_study.json")):
        found["repairs"] = inpaint_study.table([json.loads(path.read_text()) for path in repairs])
    if (augmentation := RESULTS / "augment_study.json").exists():
        found["augmentation"] = augment_study.table(json.loads(augmentation.read_text()))
    if (sentences := RESULTS / "coco_relgan_small_study.json").exists():
        found["sentences"] = text_study.table(json.loads(sentences.read_text()))
    if (scaling := RESULTS / "scaling_model.json").exists():
        found["scaling"] = scaling_model.table(json.loads(scaling.read_text()))
    if (streaming := RESULTS / "streaming.json").exists():
        found["streaming"] = streaming_study.table(json.loads(streaming.read_text()))
    return found


def updated(text: str) -> str:
    """The README's text with its tables as the result files have them. Raises ValueError if it has
    no place for one of them."""
    for name, table in tables().items():
        place = re.compile(f"(<!-- {name} -->\n).*?(\n<!-- end of {name} -->)", re.DOTALL)
        if not place.search(text):
            raise ValueError(f"README.md has no place for the table {name!r}")
        text = place.sub(lambda found, table=table: found[1] + table + found[2], text)
    return text


if __name__ == "__main__":
    readme = ROOT / "README.md"
    files.write_atomically(readme, updated(readme.read_text()))
