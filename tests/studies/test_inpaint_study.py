"""The study of repairs, on a run that is hardly trained: what it compares, and how it counts."""

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
    name="repairs",
    gen=unet.Generator(**FIELDS),
    disc=unet.Discriminator(**FIELDS),
    data=ImageData("digits", size=12, symmetric=True),
    masks=schema.Masks(("box", "half")),
    steps=1,
    seeds=(0, 1),
)


class Judge:
    """Knows untouched pictures by heart, and nothing else."""

    name, note, sha256 = "judge", "test accuracy 1.0", "0" * 64

    def __init__(self, pictures, labels):
        self.known = {x.tobytes(): int(y) for x, y in zip(pictures, labels, strict=True)}


@pytest.fixture
def judged(monkeypatch):
    test = sources.load(dataclasses.replace(CONFIG.data, split="test", labels=True))
    judge = Judge(test.batch.real, test.batch.cond)
    monkeypatch.setattr(inpaint_study.classifier, "classifier", lambda data: judge)
    monkeypatch.setattr(
        inpaint_study.classifier,
        "predict",
        lambda judge, x: np.array([judge.known.get(one.tobytes(), -1) for one in x]),
    )


@pytest.mark.usefixtures("judged")
def test_a_study(tmp_path, command):
    small.fit(CONFIG, tmp_path / "run")
    flags = f"--run {tmp_path / 'run'} --num 24 --out {tmp_path}"
    status, _, err = command(inpaint_study.main, flags)
    assert status == 0, err
    report = json.loads((tmp_path / "repairs_study.json").read_text())
    assert report["untouched_accuracy"] == 1
    assert report["seeds"] == [0, 1]
    assert {"scikit-image", "opencv-python-headless"} <= {*report["versions"]["packages"]}
    rows = {(row["kind"], row["way"], row["metric"]): row["values"] for row in report["rows"]}
    for kind in ("box", "half"):
        for way in (*inpaint_study.OTHERS, "repair"):
            assert 5 < np.mean(rows[kind, way, "psnr"]) < 40
            assert -1 < np.mean(rows[kind, way, "ssim"]) < 1
        best = max(rows[kind, way, "accuracy"][0] for way in inpaint_study.OTHERS)
        for own, won in zip(
            rows[kind, "repair", "accuracy"], rows[kind, "repair", "won_back"], strict=True
        ):
            assert won == pytest.approx((own - best) / (1 - best))
        assert min(rows[kind, "repair", "diversity"]) > 0
    table = inpaint_study.table([report]).split("\n")
    assert len(table) == 2 + 2 * 5 + 1
    assert table[-1] == "| repairs | none | untouched |  |  | 1.000 |  |  |"
    assert table[2].startswith("| repairs | box | biharmonic | ")
    with Image.open(tmp_path / "repairs_study.png") as grid:
        columns = 2 * (inpaint_study.REPAIRS + 4)
        assert grid.width // grid.height == (columns * 13 + 1) // (6 * 13 + 1)
    status, _, err = command(inpaint_study.main, flags, "--num 3")
    assert (status, err.count("\n")) == (2, 1)
    assert "num is 3: it must be at least 24" in err


@pytest.mark.parametrize("way", inpaint_study.OTHERS[:-1])
def test_the_others_fill_a_slope(way):
    """A ramp is what smooth repairs know how to continue; the hole's own pixels do not count."""
    ramp = np.broadcast_to(np.arange(40, 240, 10, dtype=np.uint8)[:, None, None], (20, 20, 1))
    hole = np.zeros((20, 20, 1), bool)
    hole[8:12, 7:13] = True
    made = inpaint_study.other(way, np.where(hole, np.uint8(0), ramp), hole, 3)
    np.testing.assert_array_equal(made[~hole], ramp[~hole])
    assert inpainting.psnr(ramp[None], made[None], hole[None]) > (40 if way == "biharmonic" else 20)
