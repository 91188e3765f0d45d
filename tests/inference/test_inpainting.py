"""Repairs: known pixels stay bit for bit, whatever the picture's size and however it is broken."""

import dataclasses

import jax
import numpy as np
import pytest
from PIL import Image

from gan_jax.cli import app
from gan_jax.config import (
    AudioData,
    Augment,
    Optimizer,
    Penalties,
    Pretrain,
    population,
    schema,
    serialization,
)
from gan_jax.config.validation import validate
from gan_jax.core import keys
from gan_jax.core.errors import UserError
from gan_jax.data import masks, sources
from gan_jax.data.images import pixels as images_pixels
from gan_jax.inference import inpainting
from gan_jax.inference.inpainting_files import (
    inpaint_folder,
    inpaint_resized,
    inpaint_tiled,
    load_mask,
)
from gan_jax.runs import folder as run_folder
from gan_jax.training import population_state
from gan_jax.training.state import generator_variables
from tests.helpers import small

pytestmark = pytest.mark.integration

FIELDS, CONFIG = small.UNET, small.INPAINTING
KEY = jax.random.key(0)
PICTURES = sources.load(CONFIG.data).batch.real[:20]
HOLES = inpainting.sample_masks("box", KEY, PICTURES.shape)


@pytest.fixture(scope="module")
def trained(trained_run):
    """A run folder of three steps."""
    return trained_run("inpainting")


@pytest.fixture(scope="module")
def variables():
    example = sources.dummy_examples(sources.load(CONFIG.data), 4)
    return generator_variables(
        population_state.init_population(CONFIG, population.root_keys(CONFIG), example)
    )


def test_repairs_keep_what_is_known_and_do_not_see_the_hole(variables):
    made = inpainting.inpaint(CONFIG, variables, KEY, PICTURES, HOLES, 2)
    assert made.shape == (2, 20, 8, 8, 1)
    assert made.dtype == np.uint8
    for one in made:
        np.testing.assert_array_equal(one[~HOLES], PICTURES[~HOLES])
    inside = np.where(HOLES, 200, PICTURES).astype(np.uint8)
    np.testing.assert_array_equal(
        inpainting.inpaint(CONFIG, variables, KEY, inside, HOLES, 2), made
    )
    assert (made[0] != made[1]).any()


def test_holes_and_repairs_of_one_key_have_keys_of_their_own(monkeypatch):
    """Of many repairs none draws its z from the key of a hole."""
    own = []
    monkeypatch.setattr(masks, "sample_masks", lambda masks, found, *_: own.append(found) or 0)
    monkeypatch.setattr(jax, "jit", lambda function, **_: function)
    inpainting.sample_masks("box", KEY, PICTURES.shape)
    for number in range(16):  # as gan_jax/inference/sampling.py derives them
        own.append(keys.example_keys(jax.random.fold_in(KEY, number), len(PICTURES)))
    rows = np.concatenate([jax.random.key_data(one) for one in own])
    assert len(np.unique(rows, axis=0)) == len(rows) == 17 * len(PICTURES)


def test_a_repair_is_of_its_key_number_and_place_alone(variables):
    made = inpainting.inpaint(CONFIG, variables, KEY, PICTURES, HOLES, 2)
    fewer = inpainting.inpaint(CONFIG, variables, KEY, PICTURES[:7], HOLES[:7])
    np.testing.assert_array_equal(fewer[0], made[0, :7])
    two = inpainting.inpaint(
        CONFIG, variables, KEY, PICTURES, HOLES, devices=jax.local_devices()[:2]
    )
    # A pixel within rounding of the middle between two levels may take the other one.
    assert np.abs(two[0].astype(int) - made[0]).max() <= 1


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"config": CONFIG.replace(masks=schema.Masks())}, "without masks"),
        ({"images": PICTURES / 255}, "got float64"),
        ({"mask": HOLES[:3]}, r"must be bool \[20, 8, 8, 1\], got bool \[3, 8, 8, 1\]"),
        ({"labels": np.arange(20)}, "data.labels = False, got labels"),
    ],
)
def test_what_does_not_go_together_is_refused(variables, changes, said):
    given = {"config": CONFIG, "variables": variables, "key": KEY}
    with pytest.raises(UserError, match=said):
        inpainting.inpaint(**{**given, "images": PICTURES, "mask": HOLES, **changes})


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"masks": schema.Masks(("box", "box"))}, "masks.kinds"),
        ({"data": AudioData("tones")}, "none with data 'tones'"),
        ({"reconstruction": -1.0}, "reconstruction"),
        ({"perceptual": -1.0}, "perceptual"),
        ({"perceptual": 1.0, "disc": small.CONFIG.disc}, "discriminator that returns no features"),
        (
            {"perceptual": 1.0, "masks": schema.Masks(), "augment": Augment(blit=1.0, p=0.5)},
            "transforms real and generated images",
        ),
        ({"augment": dataclasses.replace(CONFIG.augment, blit=1.0, p=0.5)}, "augment must be off"),
    ],
)
def test_configs_that_make_no_sense(changes, said):
    with pytest.raises(UserError, match=said):
        validate(CONFIG.replace(**changes))


def test_a_run_with_masks(trained, command, tmp_path):
    """Its config is exact in JSON, its grid shows repairs, and what needs no pictures says so."""
    assert run_folder.load_config(trained) == small.RUNS["inpainting"]
    assert serialization.loads(serialization.dumps(CONFIG)) == CONFIG
    with Image.open(trained / "samples" / "step_00000003.png") as grid:
        pixels = np.asarray(grid)
    assert len(np.unique(pixels)) > 10
    status, _, err = command(app.main, f"sample {trained} --out", str(trained / "x.png"))
    status, _, err = command(app.main, f"sample {trained} --out", str(tmp_path / "x.png"))
    assert status == 2
    assert "repairs inpaints: it needs images" in err


# Two steps of reconstruction, then two of the game.
GAME = CONFIG.replace(
    steps=4,
    n_critic=1,
    penalties=Penalties(r1=0.1),
    reconstruction=2.0,
    perceptual=0.5,
    pretrain=Pretrain(2, Optimizer(eps=1e-4), 0.3),
)


def test_chunks_do_not_change_a_bit_with_masks():
    small.assert_same_bits(small.train_state(GAME)[0], small.train_state(GAME, chunks=(1, 3))[0])


@pytest.mark.nightly
def test_devices_end_at_the_same_state_with_masks():
    (one, _), (two, _) = small.train_state(GAME), small.train_state(GAME, 2)
    # As in tests/training/test_contracts.py.
    small.assert_trees_close(two, one, rtol=1e-3, atol=1e-4)


def one_grey(picture, hole, key):  # noqa: ARG001
    """Stands for the network at 4 x 4: fills with 77, and checks what it is given."""
    assert picture.shape == (4, 4, 1)
    assert hole.any()
    assert not hole.all()
    assert picture[~hole].max() < 200  # nothing of the hole's white is in what is known
    return np.where(hole, np.uint8(77), picture)


@pytest.mark.parametrize("way", [inpaint_resized, inpaint_tiled])
@pytest.mark.parametrize("shape", [(9, 13), (4, 6), (30, 4)])
def test_other_sizes(way, shape):
    random = np.random.default_rng(0)
    picture = random.integers(0, 200, (*shape, 1)).astype(np.uint8)
    hole = np.zeros((*shape, 1), bool)
    hole[shape[0] // 3 : shape[0] // 2 + 1, shape[1] // 3 : shape[1] // 2] = True
    broken = np.where(hole, np.uint8(255), picture)
    made = way(broken, hole, KEY, 4, one_grey)
    np.testing.assert_array_equal(made[~hole], picture[~hole])
    assert (made[hole] < 200).all()
    if way is inpaint_tiled:
        assert (made[hole] == 77).all()


def save(folder, name, pixels, mode=None):
    folder.mkdir(exist_ok=True)
    Image.fromarray(pixels, mode).save(folder / name)


def test_folders_of_all_kinds_of_pictures(trained, tmp_path, command, caplog):
    """Colour, RGBA, 16-bit and CMYK pictures are converted; what cannot be repaired is named."""
    source, masked, out = (tmp_path / name for name in ("in", "masks", "out"))
    random = np.random.default_rng(1)
    grey = random.integers(0, 255, (8, 8), np.uint8)
    white = np.zeros((8, 8), np.uint8)
    white[2:5, 3:6] = 255
    kinds = {
        "grey.png": grey,
        "rgba.png": np.dstack([grey] * 3 + [np.full_like(grey, 255)]),
        "deep.png": grey.astype(np.uint16) * 257,
        "large.png": np.kron(grey, np.ones((3, 3), np.uint8)),
    }
    for name, pixels in kinds.items():
        save(source, name, pixels)
        save(masked, name, np.kron(white, np.ones((3, 3), np.uint8)) if "large" in name else white)
    Image.fromarray(np.dstack([grey] * 3)).convert("CMYK").save(source / "cmyk.tif")
    save(masked, "cmyk.png", white)
    save(source, "odd.png", grey)
    save(masked, "odd.png", white[:5])
    save(source, "lost.png", grey)
    save(masked, "lost.png", white * 0 + 255)
    save(source, "whole.png", grey)
    save(masked, "whole.png", white * 0)
    save(source, "unmasked.png", grey)
    (source / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nnot much")
    words = ["inpaint", str(trained), str(source), "--out", str(out), "--mask", str(masked)]
    status, printed, err = command(app.main, *words)
    assert status == 0, err
    assert f"{out}: 6 of 10 images inpainted" in printed
    for said in (
        "odd.png: its mask is 8 x 5, the image 8 x 8",
        "lost.png: no pixel of it is known",
        "whole.png has no masked pixel",
        "unmasked.png: it has no mask",
        "left out",
    ):
        assert said in caplog.text
    hole = white > 0
    for name in ("grey", "rgba", "deep", "cmyk", "whole", "large"):
        with Image.open(out / f"{name}.png") as picture:
            made = np.asarray(picture)
        wanted, kept = grey, ~hole
        if name == "large":
            wanted, kept = (np.kron(one, np.ones((3, 3), one.dtype)) for one in (grey, ~hole))
        kept = np.ones_like(hole) if name == "whole" else kept
        assert made.shape == wanted.shape
        # The CMYK picture went through Pillow's conversion and back, with its rounding.
        off = np.abs(made.astype(int) - wanted)[kept].max()
        assert off <= (1 if name == "cmyk" else 0), name
    status, _, err = command(app.main, *words)
    assert status == 2
    assert "give --force to overwrite" in err


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ("--mask nowhere", "a color #rrggbb or alpha, got 'nowhere'"),
        ("--mask alpha --num-samples 0", "num_samples must be at least 1, got 0"),
        ("--mask #ff00ff", "no image that can be inpainted (1 tried)"),
        ("--mask alpha --member 3", "no population"),
    ],
)
def test_bad_input_of_the_command(trained, tmp_path, command, flags, said):
    save(tmp_path / "in", "a.png", np.zeros((8, 8, 3), np.uint8) + np.array([255, 0, 255], "u1"))
    where = [str(trained), str(tmp_path / "in"), "--out", str(tmp_path / "out")]
    status, _, err = command(app.main, "inpaint", *where, flags)
    assert status == 2
    assert said in err


def test_two_pictures_never_go_to_one_place(tmp_path):
    source, out = tmp_path / "in", tmp_path / "out"
    for name in ("a.png", "a.jpg", "b.png"):
        save(source, name, np.full((8, 8, 3), 90, np.uint8))
    with pytest.raises(UserError, match=r"a.jpg and of \S*a.png would both be \S*out/a_1.png"):
        inpaint_folder(tmp_path / "run", source, out, "#ffffff", count=2)
    assert not out.exists()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_transparent_holes_lie_as_the_picture_does(tmp_path, orientation):
    picture = np.full((4, 6, 4), 90, np.uint8)
    picture[0, 1:3, 3] = 0
    exif = Image.Exif()
    exif[0x112] = orientation
    Image.fromarray(picture).save(tmp_path / "a.png", exif=exif)
    hole = load_mask(tmp_path / "a.png", tmp_path, "alpha")
    seen = images_pixels.decode(tmp_path / "a.png", 3)  # transparency over white
    np.testing.assert_array_equal(hole, (seen == 255).all(-1, keepdims=True))
    assert hole.sum() == 2


def test_holes_by_colour_and_by_transparency(trained, tmp_path, command):
    grey = np.full((8, 8, 4), 90, np.uint8)
    grey[..., 3] = 255
    clear, pink = grey.copy(), grey.copy()
    clear[2:4, 2:4, 3] = 0
    pink[2:4, 2:4, :3] = (255, 0, 255)
    save(tmp_path / "clear", "a.png", clear)
    save(tmp_path / "pink", "a.png", pink[..., :3].copy())
    made = []
    for folder, mask in (("clear", "alpha"), ("pink", "#ff00ff")):
        out = tmp_path / f"{folder}_out"
        words = [str(trained), str(tmp_path / folder), f"--out {out} --mask {mask} --num-samples 2"]
        assert command(app.main, "inpaint", *words)[0] == 0
        made.append([np.asarray(Image.open(out / f"a_{i}.png")) for i in (1, 2)])
    np.testing.assert_array_equal(made[0], made[1])
    assert (made[0][0] != made[0][1]).any()
    kept = np.ones((8, 8), bool)
    kept[2:4, 2:4] = False
    assert (made[0][0][kept] == 90).all()
