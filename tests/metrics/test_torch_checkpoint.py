"""Reading PyTorch checkpoints without PyTorch: valid, damaged and malicious files."""

import io
import os
import pickle
import zipfile

import numpy as np
import pytest

from gan_jax.core.errors import UserError
from gan_jax.metrics.features import torch_checkpoint
from tests.helpers.golden_inception import FOLDER


@pytest.mark.parametrize("name", ["zip", "legacy"])
def test_checkpoints_written_by_pytorch(name):
    loaded = torch_checkpoint.read_state_dict(FOLDER / f"checkpoint_{name}.pth")
    base = np.arange(12, dtype=np.float32)
    expected = {
        "whole": base,
        "view": base[4:10].reshape(2, 3),
        "transposed": base.reshape(3, 4).T,
        "float16": np.array([0.5, -2], np.float16),
        "float64": np.array([[0.1]]),
        "count": np.array(7),
    }
    assert list(loaded) == list(expected)
    for key, value in expected.items():
        assert loaded[key].dtype == value.dtype
        np.testing.assert_array_equal(loaded[key], value)


class Malicious:
    def __reduce__(self):
        return os.system, ("false",)


def archive(**members):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for name, value in members.items():
            file.writestr(name.replace("_", "/").replace("/pkl", ".pkl"), value)
    return buffer.getvalue()


LEGACY = b"".join(pickle.dumps(value, 2) for value in (*torch_checkpoint.LEGACY, {}))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "EOFError"),
        (b"version https://git-lfs.github.com/spec/v1\n", "is not a PyTorch checkpoint"),
        (pickle.dumps({"a": 1}, 2), "is not a PyTorch checkpoint"),
        (LEGACY + pickle.dumps([1, 2], 2) + pickle.dumps([], 2), "of tensors by name"),
        (LEGACY + pickle.dumps(Malicious(), 2), "system is not allowed"),
        (archive(a_data_pkl=pickle.dumps(Malicious(), 2)), "system is not allowed"),
        (LEGACY + pickle.dumps({}, 2) + pickle.dumps(["0"], 2), "do not match"),
        (archive(a_other=b""), "is not a PyTorch checkpoint"),
        (archive(a_data_pkl=pickle.dumps({}, 2))[:-30], "BadZipFile"),
    ],
    ids=range(9),  # archives contain the time, which test names must not
)
def test_files_that_are_not_checkpoints_are_rejected(content, message, tmp_path):
    (tmp_path / "bad.pth").write_bytes(content)
    with pytest.raises(UserError, match=message) as caught:
        torch_checkpoint.read_state_dict(tmp_path / "bad.pth")
    assert "bad.pth is not a PyTorch checkpoint" in str(caught.value)


@pytest.mark.parametrize("name", ["zip", "legacy"])
def test_truncated_files_are_rejected(name, tmp_path):
    content = (FOLDER / f"checkpoint_{name}.pth").read_bytes()
    for end in range(0, len(content), 17):
        (tmp_path / "cut.pth").write_bytes(content[:end])
        with pytest.raises(UserError, match=r"cut.pth is not a PyTorch checkpoint"):
            torch_checkpoint.read_state_dict(tmp_path / "cut.pth")


@pytest.mark.parametrize(
    ("offset", "shape", "strides"), [(0, (13,), (1,)), (-1, (2,), (1,)), (11, (2,), (-1,))]
)
def test_tensors_outside_their_storage_are_rejected(offset, shape, strides):
    with pytest.raises(ValueError, match="is not in its storage of 12"):
        torch_checkpoint._tensor(np.zeros(12), offset, shape, strides)


def test_a_folder_cannot_be_read(tmp_path):
    with pytest.raises(UserError, match="cannot be read: Is a directory"):
        torch_checkpoint.read_state_dict(tmp_path)
