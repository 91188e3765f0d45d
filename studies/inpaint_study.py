"""Compare inpainting by a run with classical methods on held-out images.

    python -m studies.inpaint_study --run RUN --num 1000

The images are those of the split `test` of the run's data, with the same masks for all methods.
Results are in experiments/results/NAME_study.json.

The other methods are Telea's and the Navier-Stokes one of OpenCV, the biharmonic equation of
scikit-image (both need the extra `study`), and the mean image of the split `train`. PSNR and SSIM
are those of the masked region. The accuracy is that of the data's own classifier on whole inpainted
images; its accuracy on untouched images is the upper bound. The diversity is that of three
inpainted versions of each image.
"""

import dataclasses
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from gan_jax.config import Config, population
from gan_jax.config.schema import MaskKind
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
from gan_jax.training.state import TrainState, generator_variables
from studies import common

VERSIONS = 3  # inpainted versions of each image
OTHERS = ("biharmonic", "telea", "navier_stokes", "mean_picture")
METHOD_NAMES = {"repair": "this run", "mean_picture": "mean image"}  # of records, in the table


@dataclasses.dataclass(frozen=True)
class Study:
    """Run to study, and amount of data."""

    run: Path = Path("runs/mnist_inpaint_small")
    """Run folder."""
    num: int = 1000
    """Number of test images."""
    radius: int = 3
    """Radius of OpenCV's neighborhoods, in pixels."""
    dir: str | None = None
    """TFDS data directory."""
    out: Path = Path("experiments/results")
    """Folder to write to."""


def inpaint_classically(name: str, image: np.ndarray, mask: np.ndarray, radius: int) -> np.ndarray:
    """Inpaint an image by a method of OpenCV or scikit-image.

    Args:
        name: Name of the method, one of `OTHERS` but the last.
        image: Image uint8 [h, w, c], black in the masked region.
        mask: Pixels to inpaint, bool [h, w, 1].
        radius: Radius of OpenCV's neighborhoods, in pixels.

    Returns:
        The inpainted image, uint8 [h, w, c].
    """
    if name == "biharmonic":
        from skimage.restoration import inpaint_biharmonic

        inpainted = inpaint_biharmonic(image / 255.0, np.array(mask[..., 0]), channel_axis=-1)
        return np.rint(255 * np.clip(inpainted, 0, 1)).astype(np.uint8)
    import cv2

    method = {"telea": cv2.INPAINT_TELEA, "navier_stokes": cv2.INPAINT_NS}[name]
    pixels = np.ascontiguousarray(image[..., 0] if image.shape[-1] == 1 else image)
    inpainted = cv2.inpaint(pixels, mask[..., 0].astype(np.uint8), radius, method)
    return inpainted.reshape(image.shape)


def scores(
    real: Any, labels: Any, inpainted: Any, mask: Any, label_classifier: Any
) -> dict[str, float]:
    """Compute the scores of one inpainted version of each image.

    Args:
        real: True images, uint8 [n, h, w, c].
        labels: Class labels [n].
        inpainted: Inpainted images, uint8 [n, h, w, c].
        mask: Inpainted pixels, bool [n, h, w, 1].
        label_classifier: Classifier of the data set.

    Returns:
        PSNR, SSIM and accuracy.
    """
    return {
        "psnr": metrics_inpainting.psnr(real, inpainted, mask),
        "ssim": metrics_inpainting.ssim(real, inpainted, mask),
        "accuracy": float((classifier.predict(label_classifier, inpainted) == labels).mean()),
    }


def won_back(accuracy: float, best_other: float, untouched: float) -> float:
    """Return the share of the accuracy lost by the best other method that inpainting keeps.

    Args:
        accuracy: Accuracy on images inpainted by the run.
        best_other: Accuracy on images inpainted by the best other method.
        untouched: Accuracy on untouched images.

    Returns:
        1 if nothing is lost, 0 if the run is as good as the best other method.
    """
    return (accuracy - best_other) / (untouched - best_other)


class Evaluation(NamedTuple):
    """Inputs that all methods and masks share."""

    real: np.ndarray
    """Test images, uint8 [n, h, w, c]."""
    labels: np.ndarray
    """Class labels [n]."""
    mean: np.ndarray
    """Mean training image, uint8 [h, w, c]."""
    label_classifier: Any
    """Classifier of the data set."""
    untouched: float
    """Accuracy of the classifier on the test images."""
    members: list[tuple[Config, TrainState]]
    """Config and state of each member of the run."""
    radius: int
    """Radius of OpenCV's neighborhoods, in pixels."""


def study(flags: Study) -> tuple[dict[str, Any], np.ndarray]:
    """Return all scores, one row per mask kind, method and metric, and the images of a grid."""
    step, config, state = restore.restore(flags.run)
    inpainting.require_inpainting(config)
    if config.data.name in classifier.UNSPLIT:
        raise UserError(f"run must be on data with a split test, got {config.data.name!r}")
    if missing := [name for name in ("cv2", "skimage") if find_spec(name) is None]:
        names = " and ".join(missing)
        raise UserError(f"{names} must be installed: pip install 'gan-jax[study]'")
    data = dataclasses.replace(config.data, dir=flags.dir or config.data.dir)
    label_classifier = classifier.load_classifier(data)
    test = sources.load(sources.labeled_split(data, "test"))
    real, labels = test.batch.real[: flags.num], test.batch.cond[: flags.num]
    mean = np.rint(sources.load(data).batch.real.mean(0, dtype=np.float64)).astype(np.uint8)
    untouched = float((classifier.predict(label_classifier, real) == labels).mean())
    members = [
        population_state.member_run(config, state, i)
        for i in range(len(population.member_configs(config)))
    ]
    if not population.is_population(config):
        members = [(config, state)]
    evaluation = Evaluation(
        real, labels, mean, label_classifier, untouched, members, radius=flags.radius
    )
    parts = [evaluate_kind(evaluation, kind, i) for i, kind in enumerate(config.masks.kinds)]
    report = {
        "run": config.name,
        "step": step,
        "seeds": [member.seed for member, _ in members],
        "num": len(real),
        "real": f"{config.data.name} test",
        "real_sha256": test.fingerprint,
        "classifier": {
            "name": label_classifier.name,
            "note": label_classifier.note,
            "sha256": label_classifier.sha256,
        },
        "untouched_accuracy": untouched,
        "rows": [row for rows, _ in parts for row in rows],
    }
    return report, np.concatenate([images for _, images in parts])


def evaluate_kind(
    evaluation: Evaluation, kind: MaskKind, number: int
) -> tuple[list[dict[str, Any]], np.ndarray]:
    """Score all methods on masks of one kind.

    Args:
        evaluation: Images, classifier and run.
        kind: Kind of the masks.
        number: Index of the kind, which decides the masks and the images of the grid.

    Returns:
        A row per method and metric, and the images of the grid.
    """
    real, labels = evaluation.real, evaluation.labels
    key = keys.step_key(keys.root_key(0), keys.Purpose.MASK, number)
    mask = inpainting.sample_masks(kind, key, real.shape)
    known = np.where(mask, 0, real).astype(np.uint8)
    others = {}
    for name in OTHERS[:-1]:
        pairs = zip(known, mask, strict=True)
        inpainted = [inpaint_classically(name, *pair, evaluation.radius) for pair in pairs]
        others[name] = np.stack(inpainted)
    others["mean_picture"] = np.where(mask, evaluation.mean, real)
    method_scores = {
        name: [scores(real, labels, images, mask, evaluation.label_classifier)]
        for name, images in others.items()
    }
    best = max(values[0]["accuracy"] for values in method_scores.values())
    method_scores["repair"], images = [], np.zeros(0)
    for member, state in evaluation.members:
        key = keys.step_key(keys.root_key(member.seed), keys.Purpose.SAMPLE, 0)
        inputs = known, mask, VERSIONS, labels if member.data.labels else None
        versions = inpainting.inpaint(member, generator_variables(state), key, *inputs)
        if not method_scores["repair"]:
            columns = np.stack([*versions, others["biharmonic"], others["telea"]])
            first = np.s_[6 * number : 6 * number + 6]
            images = inpainting.comparison_rows(real[first], mask[first], columns[:, first])
        row = scores(real, labels, versions[0], mask, evaluation.label_classifier)
        diversity = metrics_inpainting.diversity(versions, mask)
        method_scores["repair"].append(row | {"diversity": diversity})
    print(f"{kind}: " + ", ".join(f"{name} {rows[0]}" for name, rows in method_scores.items()))
    for row in method_scores["repair"]:
        row["won_back"] = won_back(row["accuracy"], best, evaluation.untouched)
    rows = [
        {"kind": kind, "way": name, "metric": metric, "values": [row[metric] for row in values]}
        for name, values in method_scores.items()
        for metric in values[0]
    ]
    return rows, images


def table(reports: Sequence[dict[str, Any]]) -> str:
    """Return the table of recorded studies: means and standard deviations over members."""
    header = ["run", "mask", "method", "PSNR", "SSIM", "accuracy", "won back", "diversity"]
    rows = []
    for report in reports:
        methods: dict[tuple[str, str], dict[str, Any]] = {}
        for row in report["rows"]:
            methods.setdefault((row["kind"], row["way"]), {})[row["metric"]] = row["values"]
        for (kind, method), metrics in methods.items():
            digits = {"psnr": 1, "ssim": 3, "accuracy": 3, "won_back": 2, "diversity": 1}
            cells = [
                format_mean_std(metrics[name], n) if name in metrics else ""
                for name, n in digits.items()
            ]
            rows.append([report["run"], kind, METHOD_NAMES.get(method, method), *cells])
        untouched = f"{report['untouched_accuracy']:.3f}"
        rows.append([report["run"], "none", "untouched", "", "", untouched, "", ""])
    return common.table(header, rows)


def main() -> None:
    """Write NAME_study.json, and a grid NAME_study.png of the first member."""
    with command_line.user_errors():
        command_line.use_compilation_cache()
        flags = command_line.parse(Study())
        if flags.num < 24:
            raise UserError(f"num must be at least 24, for the grid, got {flags.num}")
        report, images = study(flags)
        extra = ("scikit-image", "opencv-python-headless")
        versions = folder.environment(jax.local_devices()[:1], extra)
        out = flags.out / f"{report['run']}_study.json"
        common.write_record(out, {"versions": versions, **report})
        plots.grid(images, 2 * (VERSIONS + 4)).save(out.with_suffix(".png"))
        print(f"{out}, {out.with_suffix('.png')}")


if __name__ == "__main__":
    main()
