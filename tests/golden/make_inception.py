"""Writes inception.json: what torch-fidelity's FID network and resize say of golden_inception.py;
and checkpoint_zip.pth and checkpoint_legacy.pth, small files of PyTorch's own.

Needs packages that the tests do not; in an environment of its own:

    pip install torch==2.13.0 torch-fidelity==0.4.0
    PYTHONPATH=. python tests/golden/make_inception.py

Nothing is downloaded: the weights are random, and torch-fidelity reads them from a file.
"""

import importlib.metadata
import json
import platform
import tempfile
from pathlib import Path
from unittest import mock

import numpy as np
import torch
from torch_fidelity import feature_extractor_inceptionv3 as inception
from torch_fidelity.interpolate_compat_tensorflow import interpolate_bilinear_2d_like_tensorflow1x

from tests.helpers import golden_inception

PACKAGES = ("torch", "torch-fidelity", "numpy")
TAPS = ("64", "192", "768", "2048", "logits_unbiased", "logits")
N, HEIGHT, WIDTH = 2, 40, 24


def rounded(values: np.ndarray) -> list:
    """Eight significant digits, which is more than float32 has."""
    return json.loads(
        json.dumps(values.tolist()), parse_float=lambda text: float(f"{float(text):.8g}")
    )


def network() -> inception.FeatureExtractorInceptionV3:
    """With golden_inception's weights: its own names and shapes, read from a file by itself."""
    with (
        mock.patch.object(inception, "load_state_dict_from_url", return_value={}),
        mock.patch.object(inception.FeatureExtractorInceptionV3, "load_state_dict"),
    ):
        empty = inception.FeatureExtractorInceptionV3("empty", ["2048"])
    tensors = golden_inception.state_dict(layers(empty))
    with tempfile.NamedTemporaryFile(suffix=".pth") as file:
        torch.save({name: torch.from_numpy(value) for name, value in tensors.items()}, file.name)
        return inception.FeatureExtractorInceptionV3("fid", list(TAPS), file.name)


def layers(network: torch.nn.Module) -> dict[str, list[int]]:
    """Shapes OIHW of its convolutions' kernels."""
    end = ".conv.weight"
    return {
        name.removesuffix(end): list(value.shape)
        for name, value in network.state_dict().items()
        if name.endswith(end)
    }


def features(network: torch.nn.Module) -> dict:
    """Of golden_inception's images: some 64 entries of each tap, and the sum of all."""
    found = {}
    network.Mixed_7a.register_forward_hook(
        lambda _module, _inputs, y: found.update({"1280": y.mean((2, 3))})
    )
    images = golden_inception.images(N, HEIGHT, WIDTH)
    taps = network(torch.from_numpy(images).permute(0, 3, 1, 2))
    found |= dict(zip(TAPS, taps, strict=True))
    return {
        tap: {
            "every": (every := value.shape[1] // 63),
            "values": rounded(value[:, ::every].numpy()),
            "sum": rounded(value.double().sum(1).numpy()),
        }
        for tap, value in found.items()
    }


def resized(height: int, width: int) -> dict:
    """One picture, at 8 x 8 places and summed."""
    image = torch.from_numpy(golden_inception.images(1, height, width)).permute(0, 3, 1, 2).float()
    (y,) = interpolate_bilinear_2d_like_tensorflow1x(image, (299, 299), align_corners=False)
    y = y.permute(1, 2, 0)
    return {
        "size": [height, width],
        "values": rounded(y[::42, ::42].numpy()),
        "sum": rounded(y.double().sum((0, 1)).numpy()),
    }


def write_checkpoints() -> None:
    """A view, a transposed and a scalar tensor, of several types and one of shared storage."""
    base = torch.arange(12, dtype=torch.float32)
    tensors = {
        "whole": base,
        "view": base[4:10].view(2, 3),
        "transposed": base.view(3, 4).T,
        "float16": torch.tensor([0.5, -2.0], dtype=torch.float16),
        "float64": torch.tensor([[0.1]], dtype=torch.float64),
        "count": torch.tensor(7),
    }
    module = torch.nn.Module()
    for name, tensor in tensors.items():
        module.register_buffer(name, tensor)
    for name, zipped in (("zip", True), ("legacy", False)):
        path = golden_inception.FOLDER / f"checkpoint_{name}.pth"
        torch.save(module.state_dict(), path, _use_new_zipfile_serialization=zipped)


def main() -> None:
    """Writes the files beside this one."""
    write_checkpoints()
    torch_network = network()
    found = {
        "command": "PYTHONPATH=. python tests/golden/make_inception.py",
        "versions": {
            "python": platform.python_version(),
            **{name: importlib.metadata.version(name) for name in PACKAGES},
        },
        "layers": layers(torch_network),
        "images": [N, HEIGHT, WIDTH],
        "features": features(torch_network),
        "resized": [resized(*size) for size in golden_inception.SIZES],
    }
    Path(__file__).with_name("inception.json").write_text(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
