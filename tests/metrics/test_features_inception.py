"""Inception features against torch-fidelity, TensorFlow 1's resizing, and weight files.

A nightly test applies real weights to real images."""

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
def legacy_file(tmp_path_factory):
    """golden_inception's weights in the legacy PyTorch format of the published file."""
    path = tmp_path_factory.mktemp("inception") / inception_weights.NAMES[0]
    golden_inception.write_legacy(path, golden_inception.state_dict(golden()["layers"]))
    return path


@pytest.fixture(scope="module")
def variables(legacy_file):
    return inception_weights.load_inception_weights(legacy_file, check_hash=False)[0]


@pytest.fixture
def partial():
    if not PARTIAL.is_dir():
        pytest.skip(f"no partial Inception weights in {PARTIAL}")
    return PARTIAL


def golden_images():
    return golden_inception.images(*golden()["images"])


def assert_golden(features, tap):
    """Compares with tolerances above the measured error: 5e-7 relative, 9e-7 for logits."""
    expected = golden()["features"][tap]
    largest = np.abs(expected["values"]).max()
    np.testing.assert_allclose(
        features[:, :: expected["every"]], expected["values"], rtol=1e-5, atol=5e-6 * largest
    )
    np.testing.assert_allclose(features.sum(1, dtype=np.float64), expected["sum"], rtol=1e-5)


@pytest.mark.usefixtures("optimized")
@pytest.mark.parametrize("tap", TAPS)
def test_taps_equal_torch_fidelity(variables, tap):
    x = (resize.resize(jnp.asarray(golden_images())) - 128) / 128
    features = np.asarray(jax.jit(Network(tap).apply)(variables, x))
    assert features.shape == (2, tap)
    assert_golden(features, "logits" if tap == 1008 else str(tap))


@pytest.mark.usefixtures("optimized")
def test_the_extractor_gives_golden_features_and_logits(legacy_file):
    extractor = inception.extractor(legacy_file, check_hash=False)
    assert (extractor.name, extractor.resize) == ("inception-2048", "tf1 bilinear 299")
    extractor = dataclasses.replace(extractor, batch=2)
    images = golden_images()
    # The third image is alone in its batch.
    features = extractor(np.concatenate([images, images[:1]]))
    assert features.dtype == np.float32
    assert_golden(features[:2], "2048")
    np.testing.assert_array_equal(features[2], features[0])
    assert_golden(extractor.logits(features[:2]), "logits_unbiased")
    others = [inception.extractor(legacy_file, tap, check_hash=False) for tap in (768, 1008)]
    assert len({other.sha256 for other in (extractor, *others)}) == 3
    with pytest.raises(UserError, match="inception-768 features have no logits"):
        others[0].logits(features)
    with pytest.raises(UserError, match="got float32"):
        extractor(images.astype(np.float32))


def bilinear(image, size):
    """TensorFlow 1's bilinear resize in float64, pixel by pixel."""
    height, width, _ = image.shape
    resized = np.empty((size, size, image.shape[-1]))
    for row in range(size):
        for column in range(size):
            y, x = row * height / size, column * width / size
            top, left = int(y), int(x)
            bottom, right = min(top + 1, height - 1), min(left + 1, width - 1)
            y, x = y - top, x - left
            resized[row, column] = (1 - y) * (
                (1 - x) * image[top, left] + x * image[top, right]
            ) + y * ((1 - x) * image[bottom, left] + x * image[bottom, right])
    return resized


@pytest.mark.parametrize(("height", "width", "size"), [(4, 3, 11), (20, 31, 13), (1, 2, 5)])
def test_resize_equals_tensorflow_1(height, width, size):
    image = golden_inception.images(1, height, width)
    resized = jax.jit(resize.resize, static_argnums=1)(jnp.asarray(image), size)
    # Float32 coordinates are off by 1e-6 of a pixel, times a step of up to 255.
    np.testing.assert_allclose(resized[0], bilinear(image[0].astype(float), size), atol=1e-3)


@pytest.mark.parametrize(
    "expected", golden()["resized"], ids=lambda case: "x".join(map(str, case["size"]))
)
def test_resize_equals_torch_fidelity(expected):
    image = jnp.asarray(golden_inception.images(1, *expected["size"]))
    resized = np.asarray(jax.jit(resize.resize)(image)[0])
    assert resized.dtype == np.float32
    # Measured error: 4e-5, a few roundings of 255.
    np.testing.assert_allclose(resized[::42, ::42], expected["values"], atol=2e-4)
    np.testing.assert_allclose(resized.sum((0, 1), dtype=np.float64), expected["sum"], rtol=1e-6)


def test_gray_equals_the_same_gray_in_three_channels():
    gray = golden_inception.images(2, 9, 8)[..., :1]
    rgb = resize.resize(jnp.asarray(np.repeat(gray, 3, -1)), 20)
    np.testing.assert_array_equal(resize.resize(jnp.asarray(gray), 20), rgb)


def test_both_formats_load_the_same_variables(legacy_file, variables, tmp_path):
    golden_inception.write_zip(
        tmp_path / "new.pth", golden_inception.state_dict(golden()["layers"])
    )
    loaded, sha256 = inception_weights.load_inception_weights(
        tmp_path / "new.pth", check_hash=False
    )
    jax.tree.map(np.testing.assert_array_equal, loaded, variables)
    assert sha256 != inception_weights.load_inception_weights(legacy_file, check_hash=False)[1]


def test_the_published_file_is_checked_by_its_hash(legacy_file, monkeypatch):
    with pytest.raises(UserError, match=r"is not pt_inception.*, or damaged.*must be 6726825d"):
        inception.extractor(legacy_file)
    with monkeypatch.context() as patch:
        sha256 = inception_weights.load_inception_weights(legacy_file, check_hash=False)[1]
        patch.setattr(inception_weights, "SHA256", sha256)
        assert inception_weights.load_inception_weights(legacy_file)[1] == sha256


def test_weights_are_searched_in_the_cache_and_in_torch_hub(legacy_file, monkeypatch, tmp_path):
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
    os.link(legacy_file, name)
    for path in (None, name.parent, name):
        assert "fc" in inception_weights.load_inception_weights(path, check_hash=False)[0]["params"]


def test_unknown_taps_are_rejected():
    with pytest.raises(UserError, match=r"must be of 64, 192, 768.* got 100"):
        inception.extractor(None, 100)


def first_layer():
    """A state_dict of the first layer only."""
    return golden_inception.state_dict({"Conv2d_1a_3x3": [32, 3, 3, 3]})


@pytest.mark.parametrize("write", [golden_inception.write_zip, golden_inception.write_legacy])
def test_missing_or_misshapen_tensors_are_rejected(write, tmp_path):
    def load(tensors):
        write(tmp_path / "weights.pth", tensors)
        inception_weights.load_inception_weights(tmp_path / "weights.pth", check_hash=False)

    with pytest.raises(UserError, match=r"weights.pth has no tensor 'Conv2d_2a_3x3.conv.weight'"):
        load(first_layer())
    with pytest.raises(UserError, match=r"has no tensor 'Conv2d_1a_3x3.bn.running_var'"):
        load({k: v for k, v in first_layer().items() if not k.endswith("running_var")})
    kernel = np.zeros((32, 3, 5, 5), np.float32)
    with pytest.raises(UserError, match=r"shape \[32, 3, 3, 3\], got \[32, 3, 5, 5\]"):
        load(first_layer() | {"Conv2d_1a_3x3.conv.weight": kernel})


def test_a_folder_cannot_be_read(tmp_path):
    (tmp_path / inception_weights.NAMES[0]).mkdir()
    with pytest.raises(UserError, match="cannot be read: Is a directory"):
        inception_weights.load_inception_weights(tmp_path)


def test_partial_weights_load_and_support_taps_up_to_1280(partial):
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


def test_bad_partial_weights_are_rejected(tmp_path):
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


def neighbors_accuracy(features, labels):
    """Accuracy of a leave-one-out vote of the 10 nearest neighbors."""
    squares = (features.astype(np.float64) ** 2).sum(1)
    distances = squares[:, None] + squares - 2 * features.astype(np.float64) @ features.T
    np.fill_diagonal(distances, np.inf)
    votes = np.eye(10)[labels[np.argsort(distances, 1)[:, :10]]].sum(1)
    return (votes.argmax(1) == labels).mean()


@pytest.mark.nightly
@pytest.mark.usefixtures("optimized")
def test_real_weights_separate_classes_of_real_images(partial, tfds_dir):
    """Measured: 60 % of 256 images; 21 % with permuted weights, not tested to save time."""
    images, labels = tfds.read(ImageData("cifar10_jpeg75", "train[:256]", dir=str(tfds_dir)))
    extractor = inception.extractor(partial, 768)
    assert neighbors_accuracy(extractor(images), labels) > 0.5
