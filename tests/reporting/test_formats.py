"""Sample formats; every type of data has names, a loader, evaluators and a format."""

import numpy as np
import pytest
from PIL import Image
from scipy.io import wavfile

from gan_jax.config import AudioData, Data, ImageData, PointData
from gan_jax.config.validation import DATASET_NAMES
from gan_jax.core.errors import UserError
from gan_jax.data import sources
from gan_jax.data.audio.sounds import AudioFormat
from gan_jax.metrics.evaluation import evaluators
from gan_jax.reporting import formats
from gan_jax.reporting.formats import Context
from tests.helpers import small

TYPES = set(Data.__subclasses__())


@pytest.mark.parametrize(
    "table",
    [DATASET_NAMES, sources.LOADERS, evaluators.KINDS, formats.FORMATS],
    ids=["names", "loaders", "evaluators", "formats"],
)
def test_every_type_of_data_is_in_the_table(table):
    assert set(table) == TYPES


@pytest.mark.parametrize(
    ("data", "samples", "is_grid"),
    [
        (ImageData(), np.zeros((3, 8, 8, 1), np.float32), True),
        (ImageData("npz"), np.zeros((5, 2), np.float32), False),
        (PointData(), np.zeros((5, 2), np.float32), False),
        (AudioData(), np.zeros((3, 64, 1), np.float32), True),
    ],
)
def test_samples_are_plotted(data, samples, is_grid, tmp_path):
    config = small.CONFIG.replace(data=data)
    sample_format = formats.format_of(config)
    path = tmp_path / f"samples{sample_format.suffix}"
    sample_format.write(samples, path, 3, Context(config, audio_format=AudioFormat(8000, 64)))
    with Image.open(path) as image:
        assert image.format == "PNG"
        assert (image.width > image.height) == is_grid  # three images in a row


def test_audio_is_written_as_sounds(tmp_path):
    config = small.CONFIG.replace(data=AudioData())
    path = tmp_path / "samples.wav"
    samples = np.full((3, 64, 1), 0.5, np.float32)
    formats.format_of(config).write(
        samples, path, 3, Context(config, audio_format=AudioFormat(8000, 64))
    )
    rate, wave = wavfile.read(path)
    assert rate == 8000
    assert len(wave) == 3 * (64 + 800)  # each with a tenth of a second of silence
    assert np.count_nonzero(wave == np.rint(0.5 * 32767)) == 3 * 64


def test_text_is_written_line_by_line(tmp_path):
    config = small.TEXTS
    path = tmp_path / "samples.txt"
    vocabulary = ["<end>", "<unknown>", "a", "b"]
    tokens = np.array([[2, 3, 2], [3, 3, 3]], np.uint16)
    formats.format_of(config).write(tokens, path, 8, Context(config, vocabulary=vocabulary))
    assert path.read_text() == "aba\nbbb\n"


def test_a_suffix_without_a_format_is_an_error(tmp_path):
    config = small.CONFIG
    samples = np.zeros((1, 8, 8, 1), np.float32)
    with pytest.raises((ValueError, UserError)):
        formats.format_of(config).write(samples, tmp_path / "samples.xyz", 1, Context(config))
