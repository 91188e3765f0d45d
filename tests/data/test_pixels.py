"""Image files of every format as uint8 arrays, resizing, and errors."""

import io
import warnings

import numpy as np
import pytest
from PIL import Image

from gan_jax.config import ImageData
from gan_jax.core.errors import UserError
from gan_jax.data.images import pixels

GRAY = np.arange(0, 240, 20, dtype=np.uint8).reshape(3, 4)  # [h, w]
COLOR = np.stack([GRAY, 255 - GRAY, GRAY // 2], -1)


def encode(image, image_format="PNG", **options):
    """Encode an image as a file in memory."""
    buffer = io.BytesIO()
    image.save(buffer, image_format, **options)
    return io.BytesIO(buffer.getvalue())


def over_white(alpha):
    """Return COLOR with opacity `alpha` in 0 to 255 over white, as real numbers."""
    opacity = np.asarray(alpha)[..., None] / 255
    return COLOR * opacity + 255 * (1 - opacity)


# --- formats that are decoded exactly ---

PALETTE = Image.fromarray(COLOR).quantize(12, dither=Image.Dither.NONE)
FIRST, SECOND = Image.fromarray(GRAY), Image.fromarray(255 - GRAY)
WIDE = GRAY.astype(np.uint16) * 257
OPAQUE = Image.fromarray(np.dstack([COLOR, np.full((3, 4), 255, np.uint8)]))
LA = Image.merge("LA", [FIRST, Image.new("L", (4, 3), 255)])
PGM = io.BytesIO(b"P5 4 3 65535\n" + WIDE.astype(">u2").tobytes())
GRAY3 = np.repeat(GRAY[..., None], 3, -1)


EXACT = {
    "png": (encode(Image.fromarray(COLOR)), COLOR),
    "tiff": (encode(Image.fromarray(COLOR), "TIFF"), COLOR),
    "bmp": (encode(Image.fromarray(COLOR), "BMP"), COLOR),
    "webp": (encode(Image.fromarray(COLOR), "WEBP", lossless=True), COLOR),
    "gray": (encode(FIRST), GRAY3),
    "gray with alpha": (encode(LA), GRAY3),
    "bits": (encode(FIRST.convert("1", dither=0)), 255 * (GRAY3 > 127)),
    "rgba": (encode(OPAQUE), COLOR),
    "palette": (encode(PALETTE), COLOR),
    "16-bit png": (encode(Image.fromarray(WIDE)), GRAY3),
    "16-bit tiff": (encode(Image.fromarray(WIDE), "TIFF"), GRAY3),
    "16-bit pgm": (PGM, GRAY3),
    "animation": (encode(FIRST, "GIF", save_all=True, append_images=[SECOND]), GRAY3),
}


@pytest.mark.parametrize(("file", "expected"), EXACT.values(), ids=EXACT)
def test_decode_exactly(file, expected):
    decoded = pixels.decode(file, 3)
    assert decoded.dtype == np.uint8
    np.testing.assert_array_equal(decoded, expected)


GREEN = (COLOR == [0, 255, 0]).all(-1, keepdims=True)
RGBA = Image.fromarray(np.dstack([COLOR, GRAY]))
RED = Image.new("CMYK", (8, 8), (0, 255, 255, 0))
NEAR = {
    # 8-bit blending rounds twice; color keys are exact.
    "rgba": (encode(RGBA), over_white(GRAY), 1),
    "palette, alphas": (encode(PALETTE, transparency=bytes([128] * 12)), over_white([[128]]), 1),
    "gray, key": (encode(FIRST, transparency=20), np.where(GRAY3 == 20, 255, GRAY3), 0),
    "rgb, key": (
        encode(Image.fromarray(COLOR), transparency=(0, 255, 0)),
        np.where(GREEN, 255, COLOR),
        0,
    ),
    # JPEG at quality 100 of smooth images: rounding errors of two or three steps.
    "cmyk": (encode(RED, "JPEG", quality=100), np.broadcast_to([255, 0, 0], (8, 8, 3)), 3),
    "gray jpeg": (encode(FIRST, "JPEG", quality=100), GRAY3, 2),
}


@pytest.mark.parametrize(("file", "expected", "tolerance"), NEAR.values(), ids=NEAR)
def test_decode_nearly(file, expected, tolerance):
    decoded = pixels.decode(file, 3).astype(float)
    np.testing.assert_allclose(decoded, expected, rtol=0, atol=tolerance)


def test_a_transparent_palette_entry_is_white():
    index = int(np.asarray(PALETTE)[1, 2])
    decoded = pixels.decode(encode(PALETTE, "GIF", transparency=index), 3)
    assert (decoded[1, 2] == 255).all()
    np.testing.assert_array_equal(decoded[0, 0], COLOR[0, 0])


def test_16_bit_gray_is_rounded():
    values = np.array([[0, 128, 129, 257, 385, 386, 65406, 65407, 65535]], np.uint16)
    decoded = pixels.decode(encode(Image.fromarray(values)), 1)
    np.testing.assert_array_equal(decoded[..., 0], np.rint(values / 257))


@pytest.mark.parametrize(
    ("orientation", "upright"),
    [
        (1, GRAY),
        (2, GRAY[:, ::-1]),
        (3, GRAY[::-1, ::-1]),
        (6, np.rot90(GRAY, -1)),
        (8, np.rot90(GRAY)),
    ],
)
def test_the_exif_orientation_is_applied(orientation, upright):
    exif = Image.Exif()
    exif[0x0112] = orientation
    np.testing.assert_array_equal(pixels.decode(encode(FIRST, exif=exif), 1)[..., 0], upright)


def test_gray_is_the_luma_of_itu_601():
    decoded = pixels.decode(encode(Image.fromarray(COLOR)), 1)
    assert decoded.shape == (3, 4, 1)
    # Pillow has 16-bit weights and rounds the result.
    np.testing.assert_allclose(decoded[..., 0], COLOR @ [0.299, 0.587, 0.114], rtol=0, atol=0.51)


# --- broken files ---


def truncate(file, fraction):
    contents = file.getvalue()
    return io.BytesIO(contents[: int(len(contents) * fraction)])


NOISE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8))


@pytest.mark.parametrize(
    "file",
    [
        pytest.param(io.BytesIO(), id="empty"),
        pytest.param(io.BytesIO(b"just a text\n"), id="text"),
        pytest.param(truncate(encode(NOISE), 0.5), id="truncated png"),
        pytest.param(truncate(encode(NOISE, "JPEG"), 0.5), id="truncated jpeg"),
        pytest.param(truncate(encode(NOISE, "GIF"), 0.5), id="truncated gif"),
        pytest.param(encode(Image.fromarray(GRAY.astype(np.float32)), "TIFF"), id="float"),
        pytest.param(encode(Image.fromarray(GRAY.astype(np.int32)), "TIFF"), id="32-bit"),
    ],
)
def test_broken_or_unsupported_images_raise(file):
    with pytest.raises((OSError, ValueError)):
        pixels.decode(file, 3)


@pytest.mark.parametrize("limit", [20 * 20, 20 * 20 * 2 // 3, 20 * 20 // 3])
def test_decompression_bombs_raise(monkeypatch, limit):
    # Pillow warns above its limit and raises above twice that; here both raise.
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
    file = encode(Image.new("L", (20, 20)))
    if limit == 400:
        assert pixels.decode(file, 1).shape == (20, 20, 1)
    else:
        with pytest.raises((Image.DecompressionBombWarning, Image.DecompressionBombError)):
            pixels.decode(file, 1)


def test_damaged_metadata_is_ignored():
    exif = b"Exif\x00\x00MM\x00*\x00\x00\x00\x08\x00\x05\x01\x12"
    tiff = encode(FIRST, "TIFF")
    jpeg = encode(FIRST, "JPEG", exif=exif)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        Image.open(io.BytesIO(jpeg.getvalue())).getexif()
    assert caught  # the metadata is damaged
    assert pixels.decode(jpeg, 1).shape == pixels.decode(tiff, 1).shape


# --- resize, channels, stack ---


@pytest.mark.parametrize(
    "shape", [(30, 20, 3), (20, 31, 1), (20, 20, 3), (5, 9, 3), (1, 4, 3), (7, 1, 1)]
)
def test_resize_is_pillows_bicubic_of_the_central_square(shape):
    array = np.random.default_rng(1).integers(0, 256, shape, dtype=np.uint8)
    side = min(shape[:2])
    top, left = (shape[0] - side) // 2, (shape[1] - side) // 2
    image = Image.fromarray(array if shape[2] == 3 else array[..., 0])
    square = image.crop((left, top, left + side, top + side))
    expected = np.asarray(square.resize((12, 12), Image.Resampling.BICUBIC))
    resized = pixels.resize(array, 12)
    assert (resized.shape, resized.dtype) == ((12, 12, shape[2]), np.uint8)
    np.testing.assert_array_equal(resized.squeeze(), expected)


def test_resize_to_the_same_size_is_the_identity():
    np.testing.assert_array_equal(pixels.resize(COLOR[:, :3], 3), COLOR[:, :3])


@pytest.mark.parametrize("channels", [2, 4, 5])
def test_resize_treats_channels_independently(channels):
    array = np.random.default_rng(2).integers(0, 256, (9, 9, channels), dtype=np.uint8)
    resized = pixels.resize(array, 4)
    for c in range(channels):
        np.testing.assert_array_equal(
            resized[..., c : c + 1], pixels.resize(array[..., c : c + 1], 4)
        )


def test_downscaling_averages_pixels():
    board = np.indices((64, 64)).sum(0)[..., None].astype(np.uint8) % 2 * 255
    # The border is excluded: there the filter is truncated. Subsampling would give 0 or 255.
    np.testing.assert_allclose(pixels.resize(board, 8)[1:-1, 1:-1], 127.5, atol=1)


def test_convert_channels():
    real = np.stack([COLOR, COLOR[::-1]])
    assert pixels.convert_channels(real, 3) is real
    gray = pixels.convert_channels(real, 1)
    assert (gray.shape, gray.dtype) == ((2, 3, 4, 1), np.uint8)
    np.testing.assert_allclose(gray[..., 0], real @ [0.299, 0.587, 0.114], rtol=0, atol=0.51)
    np.testing.assert_array_equal(pixels.convert_channels(gray, 3), np.repeat(gray, 3, -1))


@pytest.mark.parametrize(("channels", "requested"), [(2, 1), (4, 3), (4, 1), (5, 3)])
def test_convert_channels_rejects_other_channels(channels, requested):
    with pytest.raises(UserError, match=f"data.channels must be {channels}, .*, got {requested}"):
        pixels.convert_channels(np.zeros((2, 3, 3, channels), np.uint8), requested)


def test_stack_images():
    images = [COLOR, np.swapaxes(COLOR, 0, 1)]
    assert pixels.stack_images(images, ImageData("folder")).shape == (2, 3, 3, 3)
    assert pixels.stack_images(images[:1], ImageData("folder")).shape == (1, 3, 4, 3)
    stacked = pixels.stack_images(images, ImageData("folder", size=3))
    np.testing.assert_array_equal(stacked[0], COLOR[:, :3])
    np.testing.assert_array_equal(stacked[1], np.swapaxes(COLOR[:, :3], 0, 1))


def test_conform():
    real = np.stack([COLOR, COLOR])
    conformed = pixels.conform(real, ImageData("npz", size=2, channels=1))
    assert conformed.shape == (2, 2, 2, 1)
    points = np.zeros((4, 2), np.float32)
    assert pixels.conform(points, ImageData("npz")) is points
    with pytest.raises(
        UserError, match=r"data\.channels must not .* 'npz', which has points.* got 3"
    ):
        pixels.conform(points, ImageData("npz", channels=3))
