"""Inpainting study on a run of one step: comparisons, scores and table."""

import dataclasses
import json

import numpy as np
import pytest
from PIL import Image

from gan_jax.config import ImageData, schema
from gan_jax.data import sources
from gan_jax.metrics import inpainting
from gan_jax.networks import unet
from studies import inpaint_study
from tests.helpers import small

pytestmark = pytest.mark.nightly

FIELDS = {"size": 12, "widths": (4, 2), "blocks": (1, 1), "cardinality": (1, 1), "expansion": 1}
CONFIG = small.CONFIG.replace(
    **{**small.QUICK, "loss": "relativistic"},
    name="inpainting",
    gen=unet.Generator(**FIELDS),
    disc=unet.Discriminator(**FIELDS),
    data=ImageData("digits", size=12, symmetric=True),
    masks=schema.Masks(("box", "half")),
    steps=1,
    seeds=(0, 1),
)


class PerfectClassifier:
    """A classifier that labels the given images correctly and all others as -1."""

    name, note, sha256 = "perfect", "test accuracy 1.0", "0" * 64

    def __init__(self, images, labels):
        self.known = {
            image.tobytes(): int(label) for image, label in zip(images, labels, strict=True)
        }

    def predict(self, images):
        return np.array([self.known.get(image.tobytes(), -1) for image in images])


@pytest.fixture
def perfect_classifier(monkeypatch):
    test = sources.load(dataclasses.replace(CONFIG.data, split="test", labels=True))
    perfect = PerfectClassifier(test.batch.real, test.batch.cond)
    monkeypatch.setattr(inpaint_study.classifier, "load_classifier", lambda data: perfect)
    monkeypatch.setattr(inpaint_study.classifier, "predict", PerfectClassifier.predict)


@pytest.mark.usefixtures("perfect_classifier")
def test_the_study_reports_scores_of_all_methods(tmp_path, command):
    small.fit(CONFIG, tmp_path / "run")
    flags = f"--run {tmp_path / 'run'} --num 24 --out {tmp_path}"
    status, _, error = command(inpaint_study.main, flags)
    assert status == 0, error
    report = json.loads((tmp_path / "inpainting_study.json").read_text())
    assert report["untouched_accuracy"] == 1
    assert report["seeds"] == [0, 1]
    assert {"scikit-image", "opencv-python-headless"} <= {*report["versions"]["packages"]}
    rows = {(row["kind"], row["way"], row["metric"]): row["values"] for row in report["rows"]}
    for kind in ("box", "half"):
        for method in (*inpaint_study.OTHERS, "repair"):
            assert 5 < np.mean(rows[kind, method, "psnr"]) < 40
            assert -1 < np.mean(rows[kind, method, "ssim"]) < 1
        best = max(rows[kind, method, "accuracy"][0] for method in inpaint_study.OTHERS)
        accuracies, shares = (rows[kind, "repair", name] for name in ("accuracy", "won_back"))
        for accuracy, share in zip(accuracies, shares, strict=True):
            assert share == pytest.approx((accuracy - best) / (1 - best))
        assert min(rows[kind, "repair", "diversity"]) > 0
    table = inpaint_study.table([report]).split("\n")
    assert len(table) == 2 + 2 * 5 + 1
    assert table[-1] == "| inpainting | none | untouched |  |  | 1.000 |  |  |"
    assert table[2].startswith("| inpainting | box | biharmonic | ")
    with Image.open(tmp_path / "inpainting_study.png") as grid:
        columns = 2 * (inpaint_study.VERSIONS + 4)
        assert grid.width // grid.height == (columns * 13 + 1) // (6 * 13 + 1)
    status, _, error = command(inpaint_study.main, flags, "--num 3")
    assert (status, error.count("\n")) == (2, 1)
    assert "num must be at least 24, for the grid, got 3" in error


@pytest.mark.parametrize("method", inpaint_study.OTHERS[:-1])
def test_classical_methods_inpaint_a_ramp(method):
    """Smooth methods continue a ramp, and pixels in the mask have no influence."""
    ramp = np.broadcast_to(np.arange(40, 240, 10, dtype=np.uint8)[:, None, None], (20, 20, 1))
    mask = np.zeros((20, 20, 1), bool)
    mask[8:12, 7:13] = True
    masked = np.where(mask, np.uint8(0), ramp)
    inpainted = inpaint_study.inpaint_classically(method, masked, mask, 3)
    np.testing.assert_array_equal(inpainted[~mask], ramp[~mask])
    psnr = inpainting.psnr(ramp[None], inpainted[None], mask[None])
    assert psnr > (40 if method == "biharmonic" else 20)
