"""Write inception.json, checkpoint_zip.pth and checkpoint_legacy.pth.

inception.json contains outputs of torch-fidelity's FID network and resizing for the inputs of
golden_inception.py. The checkpoints are small files written by PyTorch.

The packages below are not dependencies of the tests; install them in a separate environment:

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
    """Round to eight significant digits, more than the precision of float32."""
    return json.loads(
        json.dumps(values.tolist()), parse_float=lambda text: float(f"{float(text):.8g}")
    )


def network() -> inception.FeatureExtractorInceptionV3:
    """Return the FID network with the weights of golden_inception.py.

    Names and shapes of the weights come from an empty network; a second one loads them from a file.
    """
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
    """Return the shapes of the convolution kernels, OIHW."""
    end = ".conv.weight"
    return {
        name.removesuffix(end): list(value.shape)
        for name, value in network.state_dict().items()
        if name.endswith(end)
    }


def features(network: torch.nn.Module) -> dict:
    """Return some 64 entries of each tap, and the sum of all entries."""
    values_by_tap = {}
    network.Mixed_7a.register_forward_hook(
        lambda _module, _inputs, y: values_by_tap.update({"1280": y.mean((2, 3))})
    )
    images = golden_inception.images(N, HEIGHT, WIDTH)
    taps = network(torch.from_numpy(images).permute(0, 3, 1, 2))
    values_by_tap |= dict(zip(TAPS, taps, strict=True))
    return {
        tap: {
            "every": (stride := value.shape[1] // 63),
            "values": rounded(value[:, ::stride].numpy()),
            "sum": rounded(value.double().sum(1).numpy()),
        }
        for tap, value in values_by_tap.items()
    }


def resized(height: int, width: int) -> dict:
    """Return 8 x 8 pixels of a resized image, and the sum of all."""
    image = torch.from_numpy(golden_inception.images(1, height, width)).permute(0, 3, 1, 2).float()
    (y,) = interpolate_bilinear_2d_like_tensorflow1x(image, (299, 299), align_corners=False)
    y = y.permute(1, 2, 0)
    return {
        "size": [height, width],
        "values": rounded(y[::42, ::42].numpy()),
        "sum": rounded(y.double().sum((0, 1)).numpy()),
    }


def write_checkpoints() -> None:
    """Write views, a transposed and a scalar tensor; several dtypes, some with shared storage."""
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
    """Write the files next to this one."""
    write_checkpoints()
    torch_network = network()
    reference = {
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
    Path(__file__).with_name("inception.json").write_text(json.dumps(reference) + "\n")


if __name__ == "__main__":
    main()
