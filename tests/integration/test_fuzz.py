"""Fuzzing of file readers: any bytes give a valid result or a UserError of one line.

Code in the files never runs. Inputs are random bytes, valid files that are truncated, flipped or
spliced, and JSON of any shape that contains meaningful names.
"""

import dataclasses
import io
import json
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.io import wavfile

from gan_jax.config import AudioData, ImageData, Runtime, TextData, serialization
from gan_jax.core.errors import UserError
from gan_jax.data import sources
from gan_jax.data.images import pixels, prepare
from gan_jax.data.text import corpus
from gan_jax.inference import inpainting_files
from gan_jax.metrics.evaluation import in_training_log
from gan_jax.metrics.features import torch_checkpoint
from gan_jax.reporting import curves, record
from gan_jax.runs import compare, digest, metrics_log, score_card, timing
from gan_jax.runs import folder as run_folder
from tests.helpers import small

RANDOM = np.random.default_rng(0)
fuzzed = settings(
    max_examples=60,
    database=None,
    derandomize=True,  # the same code always gets the same examples
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def result_or_none(read, *arguments):
    """Returns the result of a reader, or None if it raises a UserError of one line."""
    try:
        return read(*arguments)
    except UserError as error:
        return None if "\n" not in str(error) else pytest.fail(f"several lines: {error}")


def damaged(*contents: bytes) -> st.SearchStrategy[bytes]:
    """Generates random bytes and truncated or overwritten versions of files."""

    def apply(changes):
        content, cut, edits = changes
        content = bytearray(content)
        for position, new in edits:
            start = position % (len(content) + 1)
            content[start : start + len(new)] = new
        return bytes(content[: len(content) - cut % (len(content) + 1)])

    edit = st.tuples(st.integers(0, 2**20), st.binary(max_size=4))
    cut = st.one_of(st.just(0), st.integers(0, 2**20))
    changed = st.tuples(st.sampled_from(contents), cut, st.lists(edit, max_size=4)).map(apply)
    return st.one_of(st.binary(max_size=64), changed, changed)


def trees(*names: str) -> st.SearchStrategy:
    """Generates JSON trees of any shape that contain some of the names."""
    known = st.sampled_from(names)
    odd = st.sampled_from([2**70, -1, 0, 1.5, float("nan"), float("inf"), 10**9, "1", ""])
    leaf = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), odd)
    leaf = st.one_of(leaf, known)

    def extend(children):
        keys = st.one_of(known, st.text(max_size=4))
        return st.one_of(
            st.lists(children, max_size=4), st.dictionaries(keys, children, max_size=6)
        )

    return st.recursive(leaf, extend, max_leaves=14)


def grafted(tree, *names: str) -> st.SearchStrategy:
    """Generates versions of a JSON tree in which one subtree, or all of it, is replaced."""
    paths = []

    def collect_paths(node, path):
        paths.append(path)
        keys = (
            node
            if isinstance(node, dict)
            else range(min(len(node), 3))
            if isinstance(node, list)
            else ()
        )
        for key in keys:
            collect_paths(node[key], (*path, key))

    def replace(node, path, new):
        if not path:
            return new
        node = dict(node) if isinstance(node, dict) else list(node)
        node[path[0]] = replace(node[path[0]], path[1:], new)
        return node

    collect_paths(tree, ())
    replacements = st.tuples(st.sampled_from(paths), trees(*names))
    return replacements.map(lambda replacement: replace(tree, *replacement))


# --- the config ---

CONFIG = json.loads(serialization.dumps(small.CONFIG))
TYPES = ("os:system", "gan_jax.config:Config", "gan_jax.networks.mlp:Generator", "builtins:eval")
TYPES += ("gan_jax.__main__:main", "gan_jax.run:json", "gan_jax.networks.mlp:nn", "_type")
TYPES += ("gan_jax.schedules:Schedule", "gan_jax.data.sources:Dataset", "gan_jax.nothing:X")
TYPES += ("Schedule", "Config", "networks.mlp.Generator", "networks.mlp", "format")


@fuzzed
@given(grafted(CONFIG, *TYPES, "widths", "steps", "seeds", "sweep", "data", "relu"))
def test_a_config_is_read_or_rejected(tree):
    config = result_or_none(serialization.loads, json.dumps(tree))
    if config is not None:
        assert serialization.loads(serialization.dumps(config)) == config


@fuzzed
@given(damaged(serialization.dumps(small.CONFIG).encode()))
def test_a_config_of_any_bytes_is_read_or_rejected(tmp_path, content):
    (tmp_path / "config.json").write_bytes(content)
    result_or_none(run_folder.load_config, tmp_path)


@pytest.mark.parametrize("name", ["os:system", "subprocess:Popen", "this", "this.s"])
def test_types_of_other_packages_are_not_imported(name):
    with pytest.raises(UserError, match="must be of a registered type"):
        serialization.loads(json.dumps({**CONFIG, "gen": {"_type": name}}))


# --- run folders ---

ROWS = [{"step": step, "disc_loss": 0.5, "gen_loss": [1.0, None]} for step in (10, 20)]
LINES = "".join(json.dumps(row) + "\n" for row in ROWS)
VERSIONS = {
    "packages": {"jax": "1"},
    "device": {"kind": "cpu"},
    "flags": {},
    "data": {
        "fingerprint": "f",
        "real": [8, 8, 1],
        "cond": {"a": [[2], "int32"]},
        "sound": {"rate": 8000, "length": 64, "bins": {"mean": [0.0], "sd": [1.0]}},
    },
}
LAUNCH = {"command": "c", "from_step": 0, "to_step": 20, "train_seconds": 2.0}
TIMING = [LAUNCH | {"first_step_seconds": 1.0, "versions": VERSIONS}]
SCORES = {"versions": VERSIONS, "cards": [{"metric": "fid", "step": 12, "values": [1.0]}]}
CURVE = {"step": [1, 2], "disc_loss": [0.5, None]}
RESULT = {"config": CONFIG, "versions": VERSIONS, "curve": CURVE}


def summarize(folder):
    return record.summarize_run(folder, [{}])


def continue_log(folder):
    metrics_log.MetricsLog(folder / "metrics.jsonl", 10, 15)
    return metrics_log.read_metrics(folder)


def open_timing(folder):
    return timing.Timing(folder / "timing.json", [0], 5, {})


def compare_result(folder):
    result = compare.load_run_record(folder / "result.json")
    return compare.format_comparison(compare.compare(result, result))


def compare_run(folder):
    run = compare.load_run_record(folder)
    other = dataclasses.replace(run, rows={10: ROWS[0]}, versions=VERSIONS)
    return compare.format_comparison(compare.compare(run, other))


def plot_curves(folder):
    return curves.plot_curves(folder, folder / "curves.png")


FOLDER_FILES = {
    "metrics.jsonl": (LINES, [metrics_log.read_metrics, continue_log, compare_run, summarize]),
    "versions.json": (
        json.dumps(VERSIONS),
        [lambda f: run_folder.load_example(f, 2), run_folder.load_audio_format, compare_run],
    ),
    "settings.json": (
        serialization.dumps_settings(small.LOGGING, Runtime()),
        [run_folder.load_settings, compare_run],
    ),
    "timing.json": (json.dumps(TIMING), [timing.read_timing, open_timing, summarize]),
    "scores.json": (
        json.dumps(SCORES),
        [
            lambda f: score_card.read_cards(f / "scores.json"),
            lambda f: record.recorded_scores(f, small.CONFIG),
        ],
    ),
    "scores_card.json": (json.dumps({"metric": "fid"}), [in_training_log.read_card]),
    "digests.jsonl": (
        json.dumps({"step": 10, "sha256": "ab"}) + "\n",
        [digest.read_digests, compare_run],
    ),
    "vocabulary.json": (json.dumps(["a", "b"]), [corpus.load_vocabulary]),
    "result.json": (json.dumps(RESULT), [compare_result]),
}
NAMES = ("step", "data", "real", "cond", "float32", "cards", "values", "rate", "bins", "to_step")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Writes the JSON files of a run folder."""
    workdir = tmp_path_factory.mktemp("runs") / "run"
    (workdir / "samples").mkdir(parents=True)
    (workdir / "config.json").write_text(serialization.dumps(small.CONFIG))
    for name, (text, _) in FOLDER_FILES.items():
        (workdir / name).write_text(text)
    return workdir


def test_undamaged_files_are_read(folder):
    for name in ("metrics.jsonl", "scores.json", "digests.jsonl", "vocabulary.json"):
        for read in FOLDER_FILES[name][1][:1]:
            assert read(folder)
    assert run_folder.load_example(folder, 2).real.shape == (2, 8, 8, 1)
    assert "the runs agree" in compare_result(folder)


@pytest.mark.parametrize("name", FOLDER_FILES)
@fuzzed
@given(data=st.data())
def test_files_of_a_run_folder_are_read_or_rejected(folder, name, data):
    original, readers = FOLDER_FILES[name]
    if name.endswith(".jsonl"):
        rows = [json.loads(line) for line in original.splitlines()]
        texts = grafted(rows, *NAMES).map(
            lambda tree: (
                "\n".join(map(json.dumps, tree)) + "\n"
                if isinstance(tree, list)
                else json.dumps(tree)
            )
        )
    else:
        texts = grafted(json.loads(original), *NAMES).map(json.dumps)
    content = data.draw(st.one_of(texts.map(str.encode), damaged(original.encode())))
    try:
        for read in readers:
            (folder / name).write_bytes(content)
            result_or_none(read, folder)
    finally:
        (folder / name).write_text(original)


@pytest.mark.parametrize("name", FOLDER_FILES)
def test_deep_nesting_and_long_numbers_are_read_or_rejected(folder, name):
    original, readers = FOLDER_FILES[name]
    try:
        for text in ("[" * 100_000, '{"step": ' * 50_000, "1" * 10_000, '{"step": 1e999}'):
            for read in readers:
                (folder / name).write_text(text)
                result_or_none(read, folder)
    finally:
        (folder / name).write_text(original)


@pytest.mark.parametrize("loss", [None, [], [None], 1e308, [0.5, 0.5]])
def test_runs_differ_at_any_values(folder, loss):
    run = compare.load_run_record(folder)
    other = dataclasses.replace(run, rows={10: ROWS[0] | {"disc_loss": loss}})
    for a, b in ((run, other), (other, run)):
        assert "metrics: step 10, disc_loss" in compare.format_comparison(compare.compare(a, b))


@pytest.mark.parametrize("shape", [[2**20, 2**20], [10**12], [-1], [2.5], "ab", [[1]], [1] * 40])
def test_impossible_example_shapes_are_rejected_before_allocation(folder, shape):
    original = (folder / "versions.json").read_text()
    (folder / "versions.json").write_text(
        json.dumps(VERSIONS | {"data": VERSIONS["data"] | {"real": shape}})
    )
    try:
        with pytest.raises(UserError, match=r"versions\.json cannot be read"):
            run_folder.load_example(folder, 64)
    finally:
        (folder / "versions.json").write_text(original)


# --- data ---


def encode_image(image, image_format, **options):
    file = io.BytesIO()
    image.save(file, image_format, **options)
    return file.getvalue()


def encode_npz(**arrays):
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    return file.getvalue()


def encode_wav(dtype):
    file = io.BytesIO()
    wavfile.write(file, 8000, (RANDOM.normal(size=200) * 99).astype(dtype))
    return file.getvalue()


PIXELS = Image.fromarray(RANDOM.integers(0, 256, (6, 5, 3), np.uint8))
FORMATS = ("PNG", "GIF", "BMP", "TIFF", "PPM", "JPEG", "WEBP")
ENCODED_IMAGES = [encode_image(PIXELS, image_format) for image_format in FORMATS]
IDX = b"\0\0\x08\x03\0\0\0\x02\0\0\0\x03\0\0\0\x03" + bytes(18)
NPZ = encode_npz(images=np.zeros((3, 4, 4), np.uint8), labels=np.arange(3))
DATA_FILES = {
    "folder": ("one.png", damaged(*ENCODED_IMAGES)),
    "npz": ("set.npz", damaged(NPZ)),
    "idx": ("train-images-idx3-ubyte", damaged(IDX)),
    "sounds": (
        "one.wav",
        damaged(encode_wav(np.int16), encode_wav(np.float32), encode_wav(np.uint8)),
    ),
    "lines": ("text.txt", damaged(b"a few words\nand others, more\nof them\n" * 4)),
    "running_text": ("text.txt", damaged("sentences, \u00e9ach of them ".encode() * 9)),
}


@pytest.mark.parametrize("name", DATA_FILES)
@fuzzed
@given(data=st.data())
def test_data_of_any_bytes_are_read_or_rejected(tmp_path, name, data):
    file, contents = DATA_FILES[name]
    (tmp_path / file).write_bytes(data.draw(contents))
    is_folder = name in ("folder", "idx", "sounds")
    path = str(tmp_path if is_folder else tmp_path / file)
    if name in ("lines", "running_text"):
        source = TextData(name, path=path, tokens=3, vocabulary=20)
    elif name == "sounds":
        source = AudioData(name, path=path, length=64)
    else:
        source = ImageData(name, path=path)
    dataset = result_or_none(sources.load, source)
    assert dataset is None or len(dataset) > 0


@fuzzed
@given(
    content=damaged(*ENCODED_IMAGES),
    mask_content=damaged(ENCODED_IMAGES[0]),
    kind=st.sampled_from(["alpha", "masks"]),
)
def test_masks_of_any_bytes_are_read_or_rejected(tmp_path, content, mask_content, kind):
    """Readers of single images may raise any Exception: callers catch it and skip the image."""
    (tmp_path / "masks").mkdir(exist_ok=True)
    (tmp_path / "one.png").write_bytes(content)
    (tmp_path / "masks" / "one.png").write_bytes(mask_content)
    source = "alpha" if kind == "alpha" else str(tmp_path / "masks")
    try:
        image = pixels.decode(tmp_path / "one.png", 3)
        mask = inpainting_files.load_mask(tmp_path / "one.png", tmp_path, source)
    except Exception:
        return
    assert (image.dtype, mask.dtype) == (np.uint8, bool)


def npz_with_header(shape, num_bytes):
    """Returns an npz file with an array header of `shape` and an array body of `num_bytes`."""
    file, header = io.BytesIO(), io.BytesIO()
    fields = {"descr": "|u1", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(header, fields)
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("images.npy", header.getvalue() + bytes(num_bytes))
    return file.getvalue()


def test_too_short_and_too_large_arrays_are_rejected_unread(tmp_path, monkeypatch):
    path = tmp_path / "set.npz"
    monkeypatch.setattr(np, "load", lambda *_, **__: pytest.fail("the file was read"))
    path.write_bytes(npz_with_header((2**30, 64, 64), 10))
    small.refused(ImageData("npz", path=str(path)), "too short for uint8 [1073741824, 64, 64]")
    monkeypatch.setattr("gan_jax.core.memory.host_limit", lambda: 10_000)
    path.write_bytes(npz_with_header((1, 200, 200), 40_000))
    small.refused(ImageData("npz", path=str(path)), "0.0 GiB exceed the memory")


class FailsWhenUnpickled:
    def __reduce__(self):
        return pytest.fail, ("code in the file ran",)


def test_pickles_are_not_executed(tmp_path):
    path = tmp_path / "set.npz"
    np.savez(path, images=np.array([FailsWhenUnpickled()] * 3, object))
    small.refused(ImageData("npz", path=str(path)), "not a readable npz file")
    path.write_bytes(pickle.dumps(FailsWhenUnpickled()))
    small.refused(ImageData("npz", path=str(path)), "not a complete zip archive")
    with pytest.raises(UserError, match="PyTorch checkpoint"):
        torch_checkpoint.read_state_dict(path)


LEGACY_CHECKPOINT = b"".join(
    pickle.dumps(value, 2) for value in (*torch_checkpoint.LEGACY, {}, {}, [])
)


@fuzzed
@given(content=damaged(LEGACY_CHECKPOINT, NPZ))
def test_weights_of_any_bytes_are_read_or_rejected(tmp_path, content):
    (tmp_path / "weights.pth").write_bytes(content)
    result_or_none(torch_checkpoint.read_state_dict, tmp_path / "weights.pth")


# --- prepared sets ---


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """Prepares a data set of six labeled images in two shards."""
    out = tmp_path_factory.mktemp("sets") / "set"
    source = out.parent / "set.npz"
    real, labels = RANDOM.integers(0, 256, (6, 4, 4), np.uint8), np.arange(6)
    source.write_bytes(encode_npz(images=real, labels=labels))
    prepare.prepare(ImageData("npz", path=str(source)), out, shard_size=3)
    return out


def load_prepared(folder: Path):
    dataset = sources.load(ImageData("prepared", path=str(folder), labels=True))
    return np.asarray(dataset.batch.real), dataset.batch.cond


@pytest.mark.parametrize("name", ["prepared.json", "labels.npy", "shard-00001.array_record"])
@fuzzed
@given(data=st.data())
def test_prepared_sets_of_any_bytes_are_read_or_rejected(prepared, name, data):
    original = (prepared / name).read_bytes()
    contents = damaged(original)
    if name == "prepared.json":
        variants = grafted(
            json.loads(original), "shape", "shards", "examples", "raw", "png", "../x"
        )
        contents = st.one_of(contents, variants.map(lambda tree: json.dumps(tree).encode()))
    try:
        (prepared / name).write_bytes(data.draw(contents))
        examples = result_or_none(load_prepared, prepared)
    finally:
        (prepared / name).write_bytes(original)
    if examples is not None:
        assert examples[0].dtype == np.uint8
        assert len(examples[0]) == len(examples[1])
