"""Outputs and error messages of the commands invert, interpolate and directions."""

import json

import numpy as np
import pytest
from PIL import Image

from gan_jax.cli import app
from gan_jax.config import ImageData
from gan_jax.core.errors import UserError
from gan_jax.data import sources
from studies import inversion_study


@pytest.fixture(scope="module")
def finished(trained_run):
    """Returns the run folder of a population of three conditional GANs, checkpoints 5 and 8."""
    return trained_run("population")


@pytest.mark.parametrize(
    ("arguments", "rows", "columns"),
    [
        ("interpolate --num-pairs 3 --columns 4", 3, 4),
        ("interpolate --num-pairs 3 --columns 4 --truncation 0.5", 3, 4),
        ("directions --num-directions 2 --columns 5", 2, 5),
        ("directions --num-directions 2 --columns 5 --method sefa", 2, 5),
    ],
)
def test_directions_and_interpolate_write_a_grid(
    command, finished, tmp_path, arguments, rows, columns
):
    name, _, flags = arguments.partition(" ")
    line = f"{name} {finished} {flags} --out {tmp_path / 'deep' / 'out.png'}"
    status, output, _ = command(app.main, line)
    assert status == 0
    assert "step 8, member 0, seed 0" in output
    with Image.open(tmp_path / "deep" / "out.png") as image:
        grid = np.asarray(image)
    assert grid.shape[0] * (columns * 9 + 1) == grid.shape[1] * (rows * 9 + 1)
    before = (tmp_path / "deep" / "out.png").read_bytes()
    status, _, error = command(app.main, line)
    assert (status, error.count("\n")) == (2, 1)
    assert "--force" in error
    assert command(app.main, line, "--force --member 1")[0] == 0
    assert (tmp_path / "deep" / "out.png").read_bytes() != before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("interpolate --num-pairs 0", "num_pairs must be at least 1, got 0"),
        ("interpolate --columns 1", "columns must be at least 2, got 1"),
        (
            "interpolate --truncation -1",
            "truncation must be above 0 (threshold of normal z), got -1.0",
        ),
        ("interpolate --space w", "space must be 'z' for mlp.Generator"),
        ("interpolate --member 3", "member must be from 0 to 2, got 3"),
        ("directions --num-directions 9", "count must be from 1 to 8 (latent size), got 9"),
        ("directions --extent 0", "extent must be above 0 and finite, got 0.0"),
        ("directions --step 3", "step must be one of 5, 8, got 3"),
    ],
)
def test_bad_input_of_directions_and_interpolate_is_one_error_line(
    command, finished, tmp_path, arguments, message
):
    name, _, flags = arguments.partition(" ")
    line = f"{name} {finished} {flags} --out {tmp_path / 'out.png'}"
    status, _, error = command(app.main, line)
    assert (status, error.count("\n")) == (2, 1)
    assert message in error
    assert not (tmp_path / "out.png").exists()


SHORT_SEARCH = "--iterations 3 --samples 20 --restarts 2"


def test_invert_writes_latents_and_errors_of_a_split(command, finished, tmp_path):
    arguments = f"invert {finished} --split test --num-images 20 {SHORT_SEARCH}"
    arguments += f" --out {tmp_path / 'out'}"
    status, output, _ = command(app.main, arguments)
    assert status == 0
    assert "20 images, step 8, member 0: mean error 0." in output
    report = json.loads((tmp_path / "out" / "errors.json").read_text())
    assert report["pictures"] == "digits test, 20 of 360, evenly spaced"
    assert len(report["errors"]) == 20
    assert report["mean_error"] == pytest.approx(np.mean(report["errors"]))
    with np.load(tmp_path / "out" / "latents.npz") as arrays:
        assert arrays["latents"].shape == (20, 8)
        assert arrays["pictures"].shape == (20, 8, 8, 1)
        test = sources.load(ImageData("digits", "test"))
        np.testing.assert_array_equal(arrays["labels"], test.labels[::18])
    with Image.open(tmp_path / "out" / "grid.png") as grid:
        assert grid.size == (4 * (16 * 9 + 1), 4 * (4 * 9 + 1))  # two rows of pairs, x4
    before = (tmp_path / "out" / "grid.png").read_bytes()
    status, _, error = command(app.main, arguments, "--seed 1")
    assert (status, error.count("\n")) == (2, 1)
    assert "grid.png exists: use --force" in error
    assert (tmp_path / "out" / "grid.png").read_bytes() == before
    assert command(app.main, arguments, "--force")[0] == 0
    assert (tmp_path / "out" / "grid.png").read_bytes() == before


def test_invert_keeps_the_pixels_outside_the_mask(command, finished, tmp_path):
    arguments = f"invert {finished} --split test --num-images 4 --mask-kind half {SHORT_SEARCH}"
    assert command(app.main, arguments, f"--out {tmp_path / 'out'}")[0] == 0
    with np.load(tmp_path / "out" / "latents.npz") as arrays:
        images = arrays["pictures"]
    real = sources.load(ImageData("digits", "test")).batch.real[::90]
    equal_fraction = (images == real)[..., 0].reshape(4, -1).mean(1)
    assert (equal_fraction >= 0.5).all()  # the unmasked half


def test_invert_skips_unreadable_files_of_a_folder(command, finished, tmp_path):
    (tmp_path / "in").mkdir()
    for name, size in (("a", (20, 16)), ("b", (9, 9))):
        Image.new("RGB", size, "grey").save(tmp_path / "in" / f"{name}.png")
    (tmp_path / "in" / "c.png").write_text("no picture")
    arguments = f"invert {finished} {tmp_path / 'in'} {SHORT_SEARCH} --features pixels"
    status, _, _ = command(app.main, arguments, f"--out {tmp_path / 'out'}")
    assert status == 0
    report = json.loads((tmp_path / "out" / "errors.json").read_text())
    assert report["pictures"].endswith("in, 2 of 2, evenly spaced")
    assert report["error"].endswith("+ 0.1 x pixels")
    with np.load(tmp_path / "out" / "latents.npz") as arrays:
        assert arrays["labels"].shape == (2,)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("", "images must be either a folder or a --split, got neither"),
        ("nowhere", "there is no such file or folder"),
        ("--split rest", "got 'rest'"),
        ("--split test --num-images 0", "num_images must be at least 1, got 0"),
        ("--split test --iterations 0", "steps must be at least 1, got 0"),
        ("--split test --space w", "space must be 'z' for mlp.Generator"),
        ("--split test --member 3", "member must be from 0 to 2, got 3"),
        ("--split test --seed -1", "seed must be from 0 to 4294967295, got -1"),
    ],
)
def test_bad_input_of_invert_is_one_error_line(command, finished, tmp_path, arguments, message):
    line = f"invert {finished} {arguments} --out {tmp_path / 'out'}"
    status, _, error = command(app.main, line)
    assert (status, error.count("\n")) == (2, 1)
    assert message in error
    assert not (tmp_path / "out").exists()


def test_a_split_of_data_without_splits_is_an_error():
    with pytest.raises(UserError, match="data set 'npz' has no split 'test'"):
        sources.load_split(ImageData("npz"), "test")
    subset = ImageData("digits", per_class=2, size=8)
    assert len(sources.load_split(subset, "all")) == 1797


def test_the_study_finds_images_nearer_than_the_initial_samples(command, finished, tmp_path):
    """Inverts held-out digits and generated images."""
    flags = "--num 3 --samples 20 --search.samples 20 --search.restarts 1 --search.steps 20"
    line = f"--run {finished} {flags} --out {tmp_path / 'study.json'}"
    assert command(inversion_study.main, line)[0] == 0
    record = json.loads((tmp_path / "study.json").read_text())
    assert record["pictures"] == "digits test, 3 of 360"
    for kind in ("held_out", "generated"):
        assert 0 < record[kind]["inversion_error"] < record[kind]["nearest_error"]
        factor = record[kind]["nearest_error"] / record[kind]["inversion_error"]
        assert record[kind]["factor"] == pytest.approx(factor, rel=1e-5)  # float32
        assert record[kind]["share_nearer_than_nearest"] == 1
    assert record["versions"]["data"]["examples"] == 360
