"""Pictures and sounds as data: addresses of a page, no larger than they may be."""

import base64
import io
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.io import wavfile

from gan_jax.data.audio.sounds import AudioFormat
from gan_jax.reporting import audio

QUALITIES = (90, 75, 50)  # of WebP, where exact pictures are too large
SMALLEST = 64  # pixels below which no picture is made smaller


def image_address(image: Image.Image, limit: int) -> tuple[str, bool]:
    """A picture as an address of at most `limit` characters, if that can be, and whether it is
    exact: else it is compressed, and at last made smaller."""
    image = image.convert("RGB")
    address = _webp(image, lossless=True)
    if len(address) <= limit:
        return address, True
    for quality in QUALITIES:
        address = _webp(image, quality=quality)
        if len(address) <= limit:
            return address, False
    while len(address) > limit and min(image.size) >= 2 * SMALLEST:
        image = image.resize((image.width // 2, image.height // 2), Image.Resampling.LANCZOS)
        address = _webp(image, quality=QUALITIES[-1])
    return address, False


def _webp(image: Image.Image, **how: int) -> str:
    file = io.BytesIO()
    image.save(file, "WEBP", **how)
    return _address("image/webp", file.getvalue())


def audio_address(path: Path, heard: AudioFormat, limit: int) -> tuple[str, int]:
    """The first sounds of a run's wav file as an address of at most `limit` characters, but at
    least one; and how many."""
    rate, samples = wavfile.read(path)
    each = heard.length + round(audio.GAP * rate)
    whole = len(samples) // each
    count = max(min(whole, (limit * 3 // 4 - 100) // (2 * each)), 1)
    return _wav(rate, samples[: count * each]), count


def _wav(rate: int, samples: np.ndarray) -> str:
    file = io.BytesIO()
    wavfile.write(file, rate, samples)
    return _address("audio/wav", file.getvalue())


def _address(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
