"""Inpainting: known pixels stay bit-identical for any image size, mask and file format."""

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
IMAGES = sources.load(CONFIG.data).batch.real[:20]
MASKS = inpainting.sample_masks("box", KEY, IMAGES.shape)


@pytest.fixture(scope="module")
def trained(trained_run):
    """Run folder of an inpainting run of three steps."""
    return trained_run("inpainting")


@pytest.fixture(scope="module")
def variables():
    example = sources.dummy_examples(sources.load(CONFIG.data), 4)
    return generator_variables(
        population_state.init_population(CONFIG, population.root_keys(CONFIG), example)
    )


def test_known_pixels_are_kept_and_masked_pixels_are_ignored(variables):
    inpainted = inpainting.inpaint(CONFIG, variables, KEY, IMAGES, MASKS, 2)
    assert inpainted.shape == (2, 20, 8, 8, 1)
    assert inpainted.dtype == np.uint8
    for images in inpainted:
        np.testing.assert_array_equal(images[~MASKS], IMAGES[~MASKS])
    other_content = np.where(MASKS, 200, IMAGES).astype(np.uint8)
    np.testing.assert_array_equal(
        inpainting.inpaint(CONFIG, variables, KEY, other_content, MASKS, 2), inpainted
    )
    assert (inpainted[0] != inpainted[1]).any()


def test_masks_and_latents_of_one_key_have_distinct_keys(monkeypatch):
    """No inpainting uses the key of a mask for its latents."""
    example_keys = []
    monkeypatch.setattr(
        masks, "sample_masks", lambda masks, mask_keys, *_: example_keys.append(mask_keys) or 0
    )
    monkeypatch.setattr(jax, "jit", lambda function, **_: function)
    inpainting.sample_masks("box", KEY, IMAGES.shape)
    for number in range(16):  # as gan_jax/inference/sampling.py derives them
        example_keys.append(keys.example_keys(jax.random.fold_in(KEY, number), len(IMAGES)))
    rows = np.concatenate([jax.random.key_data(batch_keys) for batch_keys in example_keys])
    assert len(np.unique(rows, axis=0)) == len(rows) == 17 * len(IMAGES)


def test_a_result_depends_only_on_its_key_number_and_index(variables):
    inpainted = inpainting.inpaint(CONFIG, variables, KEY, IMAGES, MASKS, 2)
    fewer = inpainting.inpaint(CONFIG, variables, KEY, IMAGES[:7], MASKS[:7])
    np.testing.assert_array_equal(fewer[0], inpainted[0, :7])
    on_two_devices = inpainting.inpaint(
        CONFIG, variables, KEY, IMAGES, MASKS, devices=jax.local_devices()[:2]
    )
    # A value near the midpoint of two levels may round to the other level.
    assert np.abs(on_two_devices[0].astype(int) - inpainted[0]).max() <= 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"config": CONFIG.replace(masks=schema.Masks())}, "without masks"),
        ({"images": IMAGES / 255}, "got float64"),
        ({"mask": MASKS[:3]}, r"must be bool \[20, 8, 8, 1\], got bool \[3, 8, 8, 1\]"),
        ({"labels": np.arange(20)}, "data.labels = False, got labels"),
    ],
)
def test_inconsistent_inputs_are_rejected(variables, changes, message):
    arguments = {"config": CONFIG, "variables": variables, "key": KEY}
    with pytest.raises(UserError, match=message):
        inpainting.inpaint(**{**arguments, "images": IMAGES, "mask": MASKS, **changes})


@pytest.mark.parametrize(
    ("changes", "message"),
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
def test_inconsistent_configs_are_rejected(changes, message):
    with pytest.raises(UserError, match=message):
        validate(CONFIG.replace(**changes))


def test_an_inpainting_run_restores_its_config_and_saves_a_grid(trained, command, tmp_path):
    """The config survives JSON, the grid shows inpainted images, and `sample` is rejected."""
    assert run_folder.load_config(trained) == small.RUNS["inpainting"]
    assert serialization.loads(serialization.dumps(CONFIG)) == CONFIG
    with Image.open(trained / "samples" / "step_00000003.png") as grid:
        pixels = np.asarray(grid)
    assert len(np.unique(pixels)) > 10
    status, _, error = command(app.main, f"sample {trained} --out", str(trained / "x.png"))
    status, _, error = command(app.main, f"sample {trained} --out", str(tmp_path / "x.png"))
    assert status == 2
    assert "inpainting inpaints: it needs images" in error


# Two pretraining steps, then two adversarial steps.
ADVERSARIAL = CONFIG.replace(
    steps=4,
    n_critic=1,
    penalties=Penalties(r1=0.1),
    reconstruction=2.0,
    perceptual=0.5,
    pretrain=Pretrain(2, Optimizer(eps=1e-4), 0.3),
)


def test_chunks_do_not_change_a_bit_with_masks():
    small.assert_same_bits(
        small.train_state(ADVERSARIAL)[0], small.train_state(ADVERSARIAL, chunks=(1, 3))[0]
    )


@pytest.mark.nightly
def test_devices_do_not_change_the_state_with_masks():
    (on_one_device, _), (on_two_devices, _) = (
        small.train_state(ADVERSARIAL),
        small.train_state(ADVERSARIAL, 2),
    )
    # The tolerances of tests/training/test_contracts.py.
    small.assert_trees_close(on_two_devices, on_one_device, rtol=1e-3, atol=1e-4)


def fill_gray(image, mask, key):  # noqa: ARG001
    """Replaces a 4 x 4 network: fills the mask with 77 and checks its inputs."""
    assert image.shape == (4, 4, 1)
    assert mask.any()
    assert not mask.all()
    assert image[~mask].max() < 200  # the white of masked pixels does not leak into known pixels
    return np.where(mask, np.uint8(77), image)


@pytest.mark.parametrize("inpaint_image", [inpaint_resized, inpaint_tiled])
@pytest.mark.parametrize("shape", [(9, 13), (4, 6), (30, 4)])
def test_images_of_other_sizes_are_inpainted(inpaint_image, shape):
    random = np.random.default_rng(0)
    image = random.integers(0, 200, (*shape, 1)).astype(np.uint8)
    mask = np.zeros((*shape, 1), bool)
    mask[shape[0] // 3 : shape[0] // 2 + 1, shape[1] // 3 : shape[1] // 2] = True
    broken = np.where(mask, np.uint8(255), image)
    inpainted = inpaint_image(broken, mask, KEY, 4, fill_gray)
    np.testing.assert_array_equal(inpainted[~mask], image[~mask])
    assert (inpainted[mask] < 200).all()
    if inpaint_image is inpaint_tiled:
        assert (inpainted[mask] == 77).all()


def save_image(folder, name, pixels, mode=None):
    folder.mkdir(exist_ok=True)
    Image.fromarray(pixels, mode).save(folder / name)


def test_folders_of_all_kinds_of_images(trained, tmp_path, command, caplog):
    """RGBA, 16-bit and CMYK images are converted; files that cannot be inpainted are reported."""
    source, masks_folder, out = (tmp_path / name for name in ("in", "masks", "out"))
    random = np.random.default_rng(1)
    gray = random.integers(0, 255, (8, 8), np.uint8)
    mask_levels = np.zeros((8, 8), np.uint8)
    mask_levels[2:5, 3:6] = 255
    images = {
        "grey.png": gray,
        "rgba.png": np.dstack([gray] * 3 + [np.full_like(gray, 255)]),
        "deep.png": gray.astype(np.uint16) * 257,
        "large.png": np.kron(gray, np.ones((3, 3), np.uint8)),
    }
    for name, pixels in images.items():
        save_image(source, name, pixels)
        save_image(
            masks_folder,
            name,
            np.kron(mask_levels, np.ones((3, 3), np.uint8)) if "large" in name else mask_levels,
        )
    Image.fromarray(np.dstack([gray] * 3)).convert("CMYK").save(source / "cmyk.tif")
    save_image(masks_folder, "cmyk.png", mask_levels)
    save_image(source, "odd.png", gray)
    save_image(masks_folder, "odd.png", mask_levels[:5])
    save_image(source, "lost.png", gray)
    save_image(masks_folder, "lost.png", mask_levels * 0 + 255)
    save_image(source, "whole.png", gray)
    save_image(masks_folder, "whole.png", mask_levels * 0)
    save_image(source, "unmasked.png", gray)
    (source / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nnot much")
    arguments = [
        "inpaint",
        str(trained),
        str(source),
        "--out",
        str(out),
        "--mask",
        str(masks_folder),
    ]
    status, output, error = command(app.main, *arguments)
    assert status == 0, error
    assert f"{out}: 6 of 10 images inpainted" in output
    for message in (
        "odd.png: its mask is 8 x 5, the image 8 x 8",
        "lost.png: no pixel of it is known",
        "whole.png has no masked pixel",
        "unmasked.png: it has no mask",
        "left out",
    ):
        assert message in caplog.text
    mask = mask_levels > 0
    for name in ("grey", "rgba", "deep", "cmyk", "whole", "large"):
        with Image.open(out / f"{name}.png") as image:
            inpainted = np.asarray(image)
        expected, known = gray, ~mask
        if name == "large":
            expected, known = (
                np.kron(array, np.ones((3, 3), array.dtype)) for array in (gray, ~mask)
            )
        known = np.ones_like(mask) if name == "whole" else known
        assert inpainted.shape == expected.shape
        # Pillow rounds when it converts to CMYK and back.
        difference = np.abs(inpainted.astype(int) - expected)[known].max()
        assert difference <= (1 if name == "cmyk" else 0), name
    status, _, error = command(app.main, *arguments)
    assert status == 2
    assert "give --force to overwrite" in error


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--mask nowhere", "a color #rrggbb or alpha, got 'nowhere'"),
        ("--mask alpha --num-samples 0", "num_samples must be at least 1, got 0"),
        ("--mask #ff00ff", "no image that can be inpainted (1 tried)"),
        ("--mask alpha --member 3", "no population"),
    ],
)
def test_bad_input_of_the_command_is_rejected(trained, tmp_path, command, flags, message):
    save_image(
        tmp_path / "in", "a.png", np.zeros((8, 8, 3), np.uint8) + np.array([255, 0, 255], "u1")
    )
    paths = [str(trained), str(tmp_path / "in"), "--out", str(tmp_path / "out")]
    status, _, error = command(app.main, "inpaint", *paths, flags)
    assert status == 2
    assert message in error


def test_two_images_never_have_the_same_output_path(tmp_path):
    source, out = tmp_path / "in", tmp_path / "out"
    for name in ("a.png", "a.jpg", "b.png"):
        save_image(source, name, np.full((8, 8, 3), 90, np.uint8))
    with pytest.raises(UserError, match=r"a.jpg and of \S*a.png would both be \S*out/a_1.png"):
        inpaint_folder(tmp_path / "run", source, out, "#ffffff", count=2)
    assert not out.exists()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_transparent_masks_follow_the_orientation_of_the_image(tmp_path, orientation):
    image = np.full((4, 6, 4), 90, np.uint8)
    image[0, 1:3, 3] = 0
    exif = Image.Exif()
    exif[0x112] = orientation
    Image.fromarray(image).save(tmp_path / "a.png", exif=exif)
    mask = load_mask(tmp_path / "a.png", tmp_path, "alpha")
    decoded = images_pixels.decode(tmp_path / "a.png", 3)  # transparency over white
    np.testing.assert_array_equal(mask, (decoded == 255).all(-1, keepdims=True))
    assert mask.sum() == 2


def test_masks_by_color_and_by_transparency(trained, tmp_path, command):
    gray = np.full((8, 8, 4), 90, np.uint8)
    gray[..., 3] = 255
    clear, pink = gray.copy(), gray.copy()
    clear[2:4, 2:4, 3] = 0
    pink[2:4, 2:4, :3] = (255, 0, 255)
    save_image(tmp_path / "clear", "a.png", clear)
    save_image(tmp_path / "pink", "a.png", pink[..., :3].copy())
    inpainted = []
    for folder, mask in (("clear", "alpha"), ("pink", "#ff00ff")):
        out = tmp_path / f"{folder}_out"
        arguments = [
            str(trained),
            str(tmp_path / folder),
            f"--out {out} --mask {mask} --num-samples 2",
        ]
        assert command(app.main, "inpaint", *arguments)[0] == 0
        inpainted.append([np.asarray(Image.open(out / f"a_{i}.png")) for i in (1, 2)])
    np.testing.assert_array_equal(inpainted[0], inpainted[1])
    assert (inpainted[0][0] != inpainted[0][1]).any()
    known = np.ones((8, 8), bool)
    known[2:4, 2:4] = False
    assert (inpainted[0][0][known] == 90).all()
