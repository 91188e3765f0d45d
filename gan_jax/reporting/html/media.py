"""Images and audio as data URLs of limited size."""

import base64
import io
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.io import wavfile

from gan_jax.data.audio.sounds import AudioFormat
from gan_jax.reporting import audio

QUALITIES = (90, 75, 50)  # qualities of WebP, tried if lossless images are too large
SMALLEST = 64  # side in pixels below which images are not reduced


def image_address(image: Image.Image, limit: int) -> tuple[str, bool]:
    """Encode an image as a data URL.

    The image is compressed, and then reduced, until it fits or is at most 127 pixels in size.

    Args:
        image: The image.
        limit: Largest number of characters.

    Returns:
        The URL, and whether it encodes the image without loss.
    """
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


def _webp(image: Image.Image, **options: int) -> str:
    file = io.BytesIO()
    image.save(file, "WEBP", **options)
    return _address("image/webp", file.getvalue())


def audio_address(path: Path, audio_format: AudioFormat, limit: int) -> tuple[str, int]:
    """Encode the first clips of a run's WAV file as a data URL.

    Args:
        path: WAV file, as `audio.write_wav` writes it.
        audio_format: Audio format of the run.
        limit: Largest number of characters; the first clip is always included.

    Returns:
        The URL, and the number of clips in it.
    """
    rate, samples = wavfile.read(path)
    clip_length = audio_format.length + round(audio.GAP * rate)
    clips = len(samples) // clip_length
    count = max(min(clips, (limit * 3 // 4 - 100) // (2 * clip_length)), 1)
    return _wav(rate, samples[: count * clip_length]), count


def _wav(rate: int, samples: np.ndarray) -> str:
    file = io.BytesIO()
    wavfile.write(file, rate, samples)
    return _address("audio/wav", file.getvalue())


def _address(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
