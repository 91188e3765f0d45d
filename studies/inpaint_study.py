"""Repairs of held-out pictures by a run, against what people use today, in one table.

Data     the split `test` of the run's data, the same holes for all
Command  python -m studies.inpaint_study --run RUN [--num 1000]
Result   README.md, from experiments/results/NAME_study.json

Against OpenCV's Telea and Navier-Stokes, scikit-image's biharmonic equation (needs the extra
`study`), and the mean picture of the split `train`. PSNR and SSIM are of the hole; the accuracy is
that of the data's own classifier on whole repaired pictures, its score of the untouched ones is the
most that is to be had; the diversity is that of three repairs of each picture.
"""

import dataclasses
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import jax
import numpy as np

from gan_jax.config import population
from gan_jax.core import command_line, keys
from gan_jax.core.errors import UserError
from gan_jax.data import sources
from gan_jax.inference import inpainting
from gan_jax.metrics import inpainting as metrics_inpainting
from gan_jax.metrics.features import classifier
from gan_jax.reporting import plots
from gan_jax.reporting.sweeps import format_mean_std
from gan_jax.runs import folder, restore
from gan_jax.training import population_state
from gan_jax.training.state import generator_variables
from studies import common

REPAIRS = 3
OTHERS = ("biharmonic", "telea", "navier_stokes", "mean_picture")


@dataclasses.dataclass(frozen=True)
class Study:
    """Which run to study, and on how much."""

    run: Path = Path("runs/mnist_inpaint_small")
    """Run folder."""
    num: int = 1000
    """Test pictures."""
    radius: int = 3
    """Of OpenCV's neighbourhoods, in pixels."""
    dir: str | None = None
    """TFDS data directory."""
    out: Path = Path("experiments/results")


def other(name: str, picture: np.ndarray, hole: np.ndarray, radius: int) -> np.ndarray:
    """A picture uint8 [h, w, c], black in the hole [h, w, 1], repaired by a well-known library."""
    if name == "biharmonic":
        from skimage.restoration import inpaint_biharmonic

        made = inpaint_biharmonic(picture / 255.0, np.array(hole[..., 0]), channel_axis=-1)
        return np.rint(255 * np.clip(made, 0, 1)).astype(np.uint8)
    import cv2

    way = {"telea": cv2.INPAINT_TELEA, "navier_stokes": cv2.INPAINT_NS}[name]
    plain = picture[..., 0] if picture.shape[-1] == 1 else picture
    made = cv2.inpaint(np.ascontiguousarray(plain), hole[..., 0].astype(np.uint8), radius, way)
    return made.reshape(picture.shape)


def scores(truth: Any, labels: Any, made: Any, hole: Any, judge: Any) -> dict[str, float]:
    """PSNR, SSIM and accuracy of one repair of each picture."""
    return {
        "psnr": metrics_inpainting.psnr(truth, made, hole),
        "ssim": metrics_inpainting.ssim(truth, made, hole),
        "accuracy": float((classifier.predict(judge, made) == labels).mean()),
    }


def won_back(accuracy: float, best_other: float, untouched: float) -> float:
    """Share of the accuracy that the best of the others loses which the repairs do not."""
    return (accuracy - best_other) / (untouched - best_other)


def study(flags: Study) -> tuple[dict[str, Any], np.ndarray]:
    """All scores, a row a kind of hole and a way of repair, and the pictures of a grid."""
    step, config, state = restore.restore(flags.run)
    inpainting.require_inpainting(config)
    if config.data.name in classifier.UNSPLIT:
        raise UserError(f"run {flags.run} is on {config.data.name!r}, which has no split test")
    if missing := [name for name in ("cv2", "skimage") if find_spec(name) is None]:
        raise UserError(f"{' and '.join(missing)}: not there: pip install 'gan-jax[study]'")
    data = dataclasses.replace(config.data, dir=flags.dir or config.data.dir)
    judge = classifier.load_classifier(data)
    test = sources.load(sources.labeled_split(data, "test"))
    truth, labels = test.batch.real[: flags.num], test.batch.cond[: flags.num]
    mean = np.rint(sources.load(data).batch.real.mean(0, dtype=np.float64)).astype(np.uint8)
    untouched = float((classifier.predict(judge, truth) == labels).mean())
    members = [
        population_state.member_run(config, state, i)
        for i in range(len(population.member_configs(config)))
    ]
    if not population.is_population(config):
        members = [(config, state)]
    rows, shown, root = [], [], keys.root_key(0)
    for number, kind in enumerate(config.masks.kinds):
        key = keys.step_key(root, keys.Purpose.MASK, number)
        hole = inpainting.sample_masks(kind, key, truth.shape)
        known = np.where(hole, 0, truth).astype(np.uint8)
        ways = {}
        for name in OTHERS[:-1]:
            each = zip(known, hole, strict=True)
            ways[name] = np.stack([other(name, *one, flags.radius) for one in each])
        ways["mean_picture"] = np.where(hole, mean, truth)
        found = {name: [scores(truth, labels, one, hole, judge)] for name, one in ways.items()}
        found["repair"] = []
        for own, member in members:
            key = keys.step_key(keys.root_key(own.seed), keys.Purpose.SAMPLE, 0)
            given = known, hole, REPAIRS, labels if config.data.labels else None
            made = inpainting.inpaint(own, generator_variables(member), key, *given)
            diverse = {"diversity": metrics_inpainting.diversity(made, hole)}
            found["repair"].append(scores(truth, labels, made[0], hole, judge) | diverse)
            if not found["repair"][1:]:
                columns = [*made, ways["biharmonic"], ways["telea"]]
                first = np.s_[:, 6 * number : 6 * number + 6]
                shown.append(
                    inpainting.comparison_rows(
                        truth[first[1]], hole[first[1]], np.stack(columns)[first]
                    )
                )
        best = max(one[0]["accuracy"] for name, one in found.items() if name != "repair")
        for name, values in found.items():
            for metric in values[0]:
                rows.append({"kind": kind, "way": name, "metric": metric})
                rows[-1]["values"] = [one[metric] for one in values]
        won = [won_back(one["accuracy"], best, untouched) for one in found["repair"]]
        rows.append({"kind": kind, "way": "repair", "metric": "won_back", "values": won})
        print(f"{kind}: " + ", ".join(f"{name} {one[0]}" for name, one in found.items()))
    report = {
        "run": config.name,
        "step": step,
        "seeds": [own.seed for own, _ in members],
        "num": len(truth),
        "real": f"{config.data.name} test",
        "real_sha256": test.fingerprint,
        "classifier": {"name": judge.name, "note": judge.note, "sha256": judge.sha256},
        "untouched_accuracy": untouched,
        "rows": rows,
    }
    return report, np.concatenate(shown)


def table(reports: Sequence[dict[str, Any]]) -> str:
    """The README's table of studies on record, means and deviations over a run's members."""
    head = ["run", "hole", "way", "PSNR", "SSIM", "accuracy", "won back", "diversity"]
    rows = []
    for report in reports:
        found: dict[tuple[str, str], dict[str, Any]] = {}
        for row in report["rows"]:
            found.setdefault((row["kind"], row["way"]), {})[row["metric"]] = row["values"]
        for (kind, way), of in found.items():
            digits = {"psnr": 1, "ssim": 3, "accuracy": 3, "won_back": 2, "diversity": 1}
            scored = [
                format_mean_std(of[name], n) if name in of else "" for name, n in digits.items()
            ]
            rows.append([report["run"], kind, way, *scored])
        whole = f"{report['untouched_accuracy']:.3f}"
        rows.append([report["run"], "none", "untouched", "", "", whole, "", ""])
    return common.table(head, rows)


def main() -> None:
    """Studies a run, and writes NAME_study.json and a grid NAME_study.png of the first member."""
    with command_line.user_errors():
        command_line.use_compilation_cache()
        flags = command_line.parse(Study())
        if flags.num < 24:
            raise UserError(f"num is {flags.num}: it must be at least 24, for the grid")
        report, shown = study(flags)
        extra = ("scikit-image", "opencv-python-headless")
        versions = folder.environment(jax.local_devices()[:1], extra)
        out = flags.out / f"{report['run']}_study.json"
        common.write_record(out, {"versions": versions, **report})
        plots.grid(shown, 2 * (REPAIRS + 4)).save(out.with_suffix(".png"))
        print(f"{out}, {out.with_suffix('.png')}")


if __name__ == "__main__":
    main()
