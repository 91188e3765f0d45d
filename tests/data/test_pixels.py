"""Pictures of every kind to uint8 arrays; the resize; what is refused."""

import io
import warnings

import numpy as np
import pytest
from PIL import Image

from gan_jax.config import ImageData
from gan_jax.core.errors import UserError
from gan_jax.data.images import pixels

GREY = np.arange(0, 240, 20, dtype=np.uint8).reshape(3, 4)  # [h, w]
COLOUR = np.stack([GREY, 255 - GREY, GREY // 2], -1)


def file(image, kind="PNG", **options):
    """The picture's bytes, as a file."""
    found = io.BytesIO()
    image.save(found, kind, **options)
    return io.BytesIO(found.getvalue())


def over_white(alpha):
    """COLOUR at opacity alpha in 0 to 255, as real numbers."""
    share = np.asarray(alpha)[..., None] / 255
    return COLOUR * share + 255 * (1 - share)


# --- kinds that say exactly what they are ---

PALETTE = Image.fromarray(COLOUR).quantize(12, dither=Image.Dither.NONE)
FIRST, SECOND = Image.fromarray(GREY), Image.fromarray(255 - GREY)
WIDE = GREY.astype(np.uint16) * 257
OPAQUE = Image.fromarray(np.dstack([COLOUR, np.full((3, 4), 255, np.uint8)]))
LA = Image.merge("LA", [FIRST, Image.new("L", (4, 3), 255)])
PGM = io.BytesIO(b"P5 4 3 65535\n" + WIDE.astype(">u2").tobytes())
GREY3 = np.repeat(GREY[..., None], 3, -1)


EXACT = {
    "png": (file(Image.fromarray(COLOUR)), COLOUR),
    "tiff": (file(Image.fromarray(COLOUR), "TIFF"), COLOUR),
    "bmp": (file(Image.fromarray(COLOUR), "BMP"), COLOUR),
    "webp": (file(Image.fromarray(COLOUR), "WEBP", lossless=True), COLOUR),
    "grey": (file(FIRST), GREY3),
    "grey with alpha": (file(LA), GREY3),
    "bits": (file(FIRST.convert("1", dither=0)), 255 * (GREY3 > 127)),
    "rgba": (file(OPAQUE), COLOUR),
    "palette": (file(PALETTE), COLOUR),
    "16-bit png": (file(Image.fromarray(WIDE)), GREY3),
    "16-bit tiff": (file(Image.fromarray(WIDE), "TIFF"), GREY3),
    "16-bit pgm": (PGM, GREY3),
    "animation": (file(FIRST, "GIF", save_all=True, append_images=[SECOND]), GREY3),
}


@pytest.mark.parametrize(("picture", "expected"), EXACT.values(), ids=EXACT)
def test_decode_exactly(picture, expected):
    found = pixels.decode(picture, 3)
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, expected)


GREEN = (COLOUR == [0, 255, 0]).all(-1, keepdims=True)
RGBA = Image.fromarray(np.dstack([COLOUR, GREY]))
RED = Image.new("CMYK", (8, 8), (0, 255, 255, 0))
NEAR = {
    # 8-bit blending rounds twice; a colour is the key or is not.
    "rgba": (file(RGBA), over_white(GREY), 1),
    "palette, alphas": (file(PALETTE, transparency=bytes([128] * 12)), over_white([[128]]), 1),
    "grey, key": (file(FIRST, transparency=20), np.where(GREY3 == 20, 255, GREY3), 0),
    "rgb, key": (
        file(Image.fromarray(COLOUR), transparency=(0, 255, 0)),
        np.where(GREEN, 255, COLOUR),
        0,
    ),
    # JPEG at quality 100 of smooth pictures: rounding in each of two or three steps.
    "cmyk": (file(RED, "JPEG", quality=100), np.broadcast_to([255, 0, 0], (8, 8, 3)), 3),
    "grey jpeg": (file(FIRST, "JPEG", quality=100), GREY3, 2),
}


@pytest.mark.parametrize(("picture", "expected", "tolerance"), NEAR.values(), ids=NEAR)
def test_decode_nearly(picture, expected, tolerance):
    found = pixels.decode(picture, 3).astype(float)
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance)


def test_a_transparent_palette_entry_is_white():
    index = int(np.asarray(PALETTE)[1, 2])
    found = pixels.decode(file(PALETTE, "GIF", transparency=index), 3)
    assert (found[1, 2] == 255).all()
    np.testing.assert_array_equal(found[0, 0], COLOUR[0, 0])


def test_16_bit_grey_is_rounded():
    values = np.array([[0, 128, 129, 257, 385, 386, 65406, 65407, 65535]], np.uint16)
    found = pixels.decode(file(Image.fromarray(values)), 1)
    np.testing.assert_array_equal(found[..., 0], np.rint(values / 257))


@pytest.mark.parametrize(
    ("orientation", "upright"),
    [
        (1, GREY),
        (2, GREY[:, ::-1]),
        (3, GREY[::-1, ::-1]),
        (6, np.rot90(GREY, -1)),
        (8, np.rot90(GREY)),
    ],
)
def test_the_exif_orientation_is_obeyed(orientation, upright):
    exif = Image.Exif()
    exif[0x0112] = orientation
    np.testing.assert_array_equal(pixels.decode(file(FIRST, exif=exif), 1)[..., 0], upright)


def test_grey_is_the_luma_of_itu_601():
    found = pixels.decode(file(Image.fromarray(COLOUR)), 1)
    assert found.shape == (3, 4, 1)
    # Pillow's weights are of 16 bits, its result is rounded.
    np.testing.assert_allclose(found[..., 0], COLOUR @ [0.299, 0.587, 0.114], rtol=0, atol=0.51)


# --- broken ones ---


def cut(picture, share):
    whole = picture.getvalue()
    return io.BytesIO(whole[: int(len(whole) * share)])


NOISE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8))


@pytest.mark.parametrize(
    "picture",
    [
        pytest.param(io.BytesIO(), id="empty"),
        pytest.param(io.BytesIO(b"just a text\n"), id="text"),
        pytest.param(cut(file(NOISE), 0.5), id="truncated png"),
        pytest.param(cut(file(NOISE, "JPEG"), 0.5), id="truncated jpeg"),
        pytest.param(cut(file(NOISE, "GIF"), 0.5), id="truncated gif"),
        pytest.param(file(Image.fromarray(GREY.astype(np.float32)), "TIFF"), id="float"),
        pytest.param(file(Image.fromarray(GREY.astype(np.int32)), "TIFF"), id="32-bit"),
    ],
)
def test_broken_or_unclear_pictures_raise(picture):
    with pytest.raises((OSError, ValueError)):
        pixels.decode(picture, 3)


@pytest.mark.parametrize("limit", [20 * 20, 20 * 20 * 2 // 3, 20 * 20 // 3])
def test_bombs_raise(monkeypatch, limit):
    # Pillow warns above its limit and raises above twice that; here both raise.
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
    picture = file(Image.new("L", (20, 20)))
    if limit == 400:
        assert pixels.decode(picture, 1).shape == (20, 20, 1)
    else:
        with pytest.raises((Image.DecompressionBombWarning, Image.DecompressionBombError)):
            pixels.decode(picture, 1)


def test_damaged_metadata_spoils_no_picture():
    exif = b"Exif\x00\x00MM\x00*\x00\x00\x00\x08\x00\x05\x01\x12"
    picture = file(FIRST, "TIFF")
    jpeg = file(FIRST, "JPEG", exif=exif)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        Image.open(io.BytesIO(jpeg.getvalue())).getexif()
    assert caught  # else this tests nothing
    assert pixels.decode(jpeg, 1).shape == pixels.decode(picture, 1).shape


# --- resize, channels, stack ---


@pytest.mark.parametrize(
    "shape", [(30, 20, 3), (20, 31, 1), (20, 20, 3), (5, 9, 3), (1, 4, 3), (7, 1, 1)]
)
def test_resize_is_pillows_bicubic_of_the_central_square(shape):
    picture = np.random.default_rng(1).integers(0, 256, shape, dtype=np.uint8)
    cut = min(shape[:2])
    top, left = (shape[0] - cut) // 2, (shape[1] - cut) // 2
    image = Image.fromarray(picture if shape[2] == 3 else picture[..., 0])
    square = image.crop((left, top, left + cut, top + cut))
    expected = np.asarray(square.resize((12, 12), Image.Resampling.BICUBIC))
    found = pixels.resize(picture, 12)
    assert (found.shape, found.dtype) == ((12, 12, shape[2]), np.uint8)
    np.testing.assert_array_equal(found.squeeze(), expected)


def test_resize_leaves_the_right_size_alone():
    np.testing.assert_array_equal(pixels.resize(COLOUR[:, :3], 3), COLOUR[:, :3])


@pytest.mark.parametrize("channels", [2, 4, 5])
def test_resize_takes_each_channel_for_itself(channels):
    picture = np.random.default_rng(2).integers(0, 256, (9, 9, channels), dtype=np.uint8)
    found = pixels.resize(picture, 4)
    for c in range(channels):
        np.testing.assert_array_equal(
            found[..., c : c + 1], pixels.resize(picture[..., c : c + 1], 4)
        )


def test_resize_averages_where_it_shrinks():
    board = np.indices((64, 64)).sum(0)[..., None].astype(np.uint8) % 2 * 255
    # Inside; at the rim the filter is cut off. Picking every eighth pixel would give 0 or 255.
    np.testing.assert_allclose(pixels.resize(board, 8)[1:-1, 1:-1], 127.5, atol=1)


def test_recolour():
    real = np.stack([COLOUR, COLOUR[::-1]])
    assert pixels.convert_channels(real, 3) is real
    grey = pixels.convert_channels(real, 1)
    assert (grey.shape, grey.dtype) == ((2, 3, 4, 1), np.uint8)
    np.testing.assert_allclose(grey[..., 0], real @ [0.299, 0.587, 0.114], rtol=0, atol=0.51)
    np.testing.assert_array_equal(pixels.convert_channels(grey, 3), np.repeat(grey, 3, -1))


@pytest.mark.parametrize(("have", "want"), [(2, 1), (4, 3), (4, 1), (5, 3)])
def test_recolour_refuses_other_channels(have, want):
    with pytest.raises(UserError, match=f"data.channels must be {have}, .*, got {want}"):
        pixels.convert_channels(np.zeros((2, 3, 3, have), np.uint8), want)


def test_stack():
    found = [COLOUR, np.swapaxes(COLOUR, 0, 1)]
    assert pixels.stack_images(found, ImageData("folder")).shape == (2, 3, 3, 3)
    assert pixels.stack_images(found[:1], ImageData("folder")).shape == (1, 3, 4, 3)
    stacked = pixels.stack_images(found, ImageData("folder", size=3))
    np.testing.assert_array_equal(stacked[0], COLOUR[:, :3])
    np.testing.assert_array_equal(stacked[1], np.swapaxes(COLOUR[:, :3], 0, 1))


def test_conform():
    real = np.stack([COLOUR, COLOUR])
    found = pixels.conform(real, ImageData("npz", size=2, channels=1))
    assert found.shape == (2, 2, 2, 1)
    points = np.zeros((4, 2), np.float32)
    assert pixels.conform(points, ImageData("npz")) is points
    with pytest.raises(
        UserError, match=r"data\.channels must not .* 'npz', which has points.* got 3"
    ):
        pixels.conform(points, ImageData("npz", channels=3))
