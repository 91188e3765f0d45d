"""The FID network against torch-fidelity's, its resize against TensorFlow 1's rule, where weights
come from, and real weights on real pictures."""

import dataclasses
import os

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.config import ImageData
from gan_jax.core.errors import UserError
from gan_jax.data.images import tfds
from gan_jax.metrics.features import inception, inception_weights, resize
from gan_jax.metrics.features.inception_network import TAPS, Network
from tests.helpers import golden_inception
from tests.helpers.golden_inception import golden
from tests.helpers.paths import REPOSITORY

PARTIAL = REPOSITORY.parent / "shared" / "data" / "weights" / "inception2015"


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """golden_inception's weights in PyTorch's old format, which the published file has."""
    path = tmp_path_factory.mktemp("inception") / inception_weights.NAMES[0]
    golden_inception.write_legacy(path, golden_inception.state_dict(golden()["layers"]))
    return path


@pytest.fixture(scope="module")
def variables(file):
    return inception_weights.load_inception_weights(file, check_hash=False)[0]


@pytest.fixture
def partial():
    if not PARTIAL.is_dir():
        pytest.skip(f"no partial Inception weights in {PARTIAL}")
    return PARTIAL


def golden_images():
    return golden_inception.images(*golden()["images"])


def assert_golden(found, tap):
    """Measured: 5e-7 of the largest, 9e-7 for logits, of float32 sums in another order."""
    expected = golden()["features"][tap]
    largest = np.abs(expected["values"]).max()
    np.testing.assert_allclose(
        found[:, :: expected["every"]], expected["values"], rtol=1e-5, atol=5e-6 * largest
    )
    np.testing.assert_allclose(found.sum(1, dtype=np.float64), expected["sum"], rtol=1e-5)


@pytest.mark.usefixtures("optimized")
@pytest.mark.parametrize("tap", TAPS)
def test_taps_are_those_of_torch_fidelity(variables, tap):
    x = (resize.resize(jnp.asarray(golden_images())) - 128) / 128
    found = np.asarray(jax.jit(Network(tap).apply)(variables, x))
    assert found.shape == (2, tap)
    assert_golden(found, "logits" if tap == 1008 else str(tap))


@pytest.mark.usefixtures("optimized")
def test_extractor(file):
    extractor = inception.extractor(file, check_hash=False)
    assert (extractor.name, extractor.resize) == ("inception-2048", "tf1 bilinear 299")
    extractor = dataclasses.replace(extractor, batch=2)
    images = golden_images()
    # The third picture is alone in its batch.
    found = extractor(np.concatenate([images, images[:1]]))
    assert found.dtype == np.float32
    assert_golden(found[:2], "2048")
    np.testing.assert_array_equal(found[2], found[0])
    assert_golden(extractor.logits(found[:2]), "logits_unbiased")
    others = [inception.extractor(file, tap, check_hash=False) for tap in (768, 1008)]
    assert len({one.sha256 for one in (extractor, *others)}) == 3
    with pytest.raises(UserError, match="inception-768 features have no logits"):
        others[0].logits(found)
    with pytest.raises(UserError, match="got float32"):
        extractor(images.astype(np.float32))


def bilinear(image, size):
    """By the rule, in float64, pixel by pixel."""
    height, width, _ = image.shape
    y = np.empty((size, size, image.shape[-1]))
    for row in range(size):
        for column in range(size):
            a, b = row * height / size, column * width / size
            top, left = int(a), int(b)
            bottom, right = min(top + 1, height - 1), min(left + 1, width - 1)
            a, b = a - top, b - left
            y[row, column] = (1 - a) * ((1 - b) * image[top, left] + b * image[top, right]) + a * (
                (1 - b) * image[bottom, left] + b * image[bottom, right]
            )
    return y


@pytest.mark.parametrize(("height", "width", "size"), [(4, 3, 11), (20, 31, 13), (1, 2, 5)])
def test_resize_is_tensorflow_1s_rule(height, width, size):
    image = golden_inception.images(1, height, width)
    found = jax.jit(resize.resize, static_argnums=1)(jnp.asarray(image), size)
    # Places in float32: 1e-6 of a pixel, times a step of up to 255.
    np.testing.assert_allclose(found[0], bilinear(image[0].astype(float), size), atol=1e-3)


@pytest.mark.parametrize(
    "expected", golden()["resized"], ids=lambda one: "x".join(map(str, one["size"]))
)
def test_resize_is_torch_fidelitys(expected):
    image = jnp.asarray(golden_inception.images(1, *expected["size"]))
    found = np.asarray(jax.jit(resize.resize)(image)[0])
    assert found.dtype == np.float32
    # Measured: 4e-5, some roundings of 255.
    np.testing.assert_allclose(found[::42, ::42], expected["values"], atol=2e-4)
    np.testing.assert_allclose(found.sum((0, 1), dtype=np.float64), expected["sum"], rtol=1e-6)


def test_grey_is_that_grey_in_three_channels():
    grey = golden_inception.images(2, 9, 8)[..., :1]
    coloured = resize.resize(jnp.asarray(np.repeat(grey, 3, -1)), 20)
    np.testing.assert_array_equal(resize.resize(jnp.asarray(grey), 20), coloured)


def test_both_formats_hold_the_same(file, variables, tmp_path):
    golden_inception.write_zip(
        tmp_path / "new.pth", golden_inception.state_dict(golden()["layers"])
    )
    found, sha256 = inception_weights.load_inception_weights(tmp_path / "new.pth", check_hash=False)
    jax.tree.map(np.testing.assert_array_equal, found, variables)
    assert sha256 != inception_weights.load_inception_weights(file, check_hash=False)[1]


def test_published_file_is_known_by_its_hash(file, monkeypatch):
    with pytest.raises(UserError, match=r"is not pt_inception.*, or damaged.*must be 6726825d"):
        inception.extractor(file)
    with monkeypatch.context() as patch:
        sha256 = inception_weights.load_inception_weights(file, check_hash=False)[1]
        patch.setattr(inception_weights, "SHA256", sha256)
        assert inception_weights.load_inception_weights(file)[1] == sha256


def test_where_weights_are_looked_for(file, monkeypatch, tmp_path):
    cache, torch = tmp_path / "cache", tmp_path / "torch"
    monkeypatch.setenv("GAN_JAX_CACHE", str(cache))
    monkeypatch.setenv("TORCH_HOME", str(torch))
    with pytest.raises(UserError, match=r"not found: put pt_inception-2015-12-05-6726825d.pth"):
        inception_weights.load_inception_weights()
    with pytest.raises(UserError, match=r"nowhere.pth does not exist"):
        inception_weights.load_inception_weights(tmp_path / "nowhere.pth")
    cache.mkdir()
    with pytest.raises(UserError, match="cache has neither pt_inception"):
        inception_weights.load_inception_weights(cache)
    name = torch / "hub" / "checkpoints" / inception_weights.NAMES[1]
    name.parent.mkdir(parents=True)
    os.link(file, name)
    for path in (None, name.parent, name):
        assert "fc" in inception_weights.load_inception_weights(path, check_hash=False)[0]["params"]


def test_other_taps_are_refused():
    with pytest.raises(UserError, match=r"must be of 64, 192, 768.* got 100"):
        inception.extractor(None, 100)


def small():
    """A state_dict of the first layer only."""
    return golden_inception.state_dict({"Conv2d_1a_3x3": [32, 3, 3, 3]})


@pytest.mark.parametrize("write", [golden_inception.write_zip, golden_inception.write_legacy])
def test_wrong_tensors(write, tmp_path):
    def load(tensors):
        write(tmp_path / "weights.pth", tensors)
        inception_weights.load_inception_weights(tmp_path / "weights.pth", check_hash=False)

    with pytest.raises(UserError, match=r"weights.pth has no tensor 'Conv2d_2a_3x3.conv.weight'"):
        load(small())
    with pytest.raises(UserError, match=r"has no tensor 'Conv2d_1a_3x3.bn.running_var'"):
        load({k: v for k, v in small().items() if not k.endswith("running_var")})
    kernel = np.zeros((32, 3, 5, 5), np.float32)
    with pytest.raises(UserError, match=r"shape \[32, 3, 3, 3\], got \[32, 3, 5, 5\]"):
        load(small() | {"Conv2d_1a_3x3.conv.weight": kernel})


def test_a_folder_cannot_be_read(tmp_path):
    (tmp_path / inception_weights.NAMES[0]).mkdir()
    with pytest.raises(UserError, match="cannot be read: Is a directory"):
        inception_weights.load_inception_weights(tmp_path)


def test_partial_weights(partial):
    variables, sha256 = inception_weights.load_inception_weights(partial)
    layers = 5 + 3 * 7 + 4 + 4 * 10 + 6  # stem, 35x35, to 17x17, 17x17, to 8x8
    assert len(jax.tree.leaves(variables)) == 2 * layers
    assert all(leaf.dtype == np.float32 for leaf in jax.tree.leaves(variables))
    assert (
        sha256 == inception_weights.load_inception_weights(partial / inception_weights.PARTIAL)[1]
    )
    name = "inception-1280 (partial weights, float16)"
    assert inception.extractor(partial, 1280).name == name
    for tap in (2048, 1008):
        with pytest.raises(UserError, match=rf"1280 .* got {tap}"):
            inception.extractor(partial, tap)


def test_wrong_partial_weights(tmp_path):
    path = tmp_path / inception_weights.PARTIAL
    np.savez(path, **{"conv/w": np.zeros((3, 3, 3, 32), np.float16)})
    with pytest.raises(UserError, match=r"has no tensor 'conv/b'"):
        inception_weights.load_inception_weights(tmp_path)
    np.savez(path, **{"conv/w": np.zeros((3, 3, 3, 31), np.float16)})
    with pytest.raises(UserError, match=r"shape \[3, 3, 3, 32\], got \[3, 3, 3, 31\]"):
        inception_weights.load_inception_weights(tmp_path)
    for content in (b"PK\x03\x04", b"", b"text"):
        path.write_bytes(content)
        with pytest.raises(UserError, match=r"not a readable npz file"):
            inception_weights.load_inception_weights(path)


def neighbours_accuracy(features, labels):
    """How often the vote of the 10 nearest others is the label."""
    squares = (features.astype(np.float64) ** 2).sum(1)
    distances = squares[:, None] + squares - 2 * features.astype(np.float64) @ features.T
    np.fill_diagonal(distances, np.inf)
    votes = np.eye(10)[labels[np.argsort(distances, 1)[:, :10]]].sum(1)
    return (votes.argmax(1) == labels).mean()


@pytest.mark.nightly
@pytest.mark.usefixtures("optimized")
def test_real_weights_tell_real_pictures_apart(partial, tfds_dir):
    """Measured: 60 % of 256 pictures; with permuted weights, which take as long again, 21 %."""
    images, labels = tfds.read(ImageData("cifar10_jpeg75", "train[:256]", dir=str(tfds_dir)))
    real = inception.extractor(partial, 768)
    assert neighbours_accuracy(real(images), labels) > 0.5
