"""Files of a stranger: any bytes give a good result, or a UserError of one line; nothing else, and
no code of theirs runs.

Bytes are of three kinds: random ones, whole files that are cut, flipped or spliced, and JSON of any
shape under names that mean something.
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
    derandomize=True,  # CI says the same of the same code
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def survives(read, *given):
    """The good result, or None where there is a UserError of one line."""
    try:
        return read(*given)
    except UserError as error:
        return None if "\n" not in str(error) else pytest.fail(f"several lines: {error}")


def damaged(*whole: bytes) -> st.SearchStrategy[bytes]:
    """Random bytes, or one of these files cut, flipped, or with something put in its place."""

    def apply(changes):
        raw, cut, edits = changes
        raw = bytearray(raw)
        for place, new in edits:
            at = place % (len(raw) + 1)
            raw[at : at + len(new)] = new
        return bytes(raw[: len(raw) - cut % (len(raw) + 1)])

    edit = st.tuples(st.integers(0, 2**20), st.binary(max_size=4))
    cut = st.one_of(st.just(0), st.integers(0, 2**20))
    changed = st.tuples(st.sampled_from(whole), cut, st.lists(edit, max_size=4)).map(apply)
    return st.one_of(st.binary(max_size=64), changed, changed)


def trees(*names: str) -> st.SearchStrategy:
    """JSON of any shape, with these names in it."""
    known = st.sampled_from(names)
    odd = st.sampled_from([2**70, -1, 0, 1.5, float("nan"), float("inf"), 10**9, "1", ""])
    leaf = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), odd)
    leaf = st.one_of(leaf, known)

    def more(inner):
        named = st.one_of(known, st.text(max_size=4))
        return st.one_of(st.lists(inner, max_size=4), st.dictionaries(named, inner, max_size=6))

    return st.recursive(leaf, more, max_leaves=14)


def grafted(tree, *names: str) -> st.SearchStrategy:
    """This JSON with another one in the place of some part of it; or another one altogether."""
    places = []

    def walk(inner, path):
        places.append(path)
        keys = (
            inner
            if isinstance(inner, dict)
            else range(min(len(inner), 3))
            if isinstance(inner, list)
            else ()
        )
        for key in keys:
            walk(inner[key], (*path, key))

    def put(inner, path, new):
        if not path:
            return new
        inner = dict(inner) if isinstance(inner, dict) else list(inner)
        inner[path[0]] = put(inner[path[0]], path[1:], new)
        return inner

    walk(tree, ())
    pair = st.tuples(st.sampled_from(places), trees(*names))
    return pair.map(lambda given: put(tree, *given))


# --- the config ---

CONFIG = json.loads(serialization.dumps(small.CONFIG))
TYPES = ("os:system", "gan_jax.config:Config", "gan_jax.networks.mlp:Generator", "builtins:eval")
TYPES += ("gan_jax.__main__:main", "gan_jax.run:json", "gan_jax.networks.mlp:nn", "_type")
TYPES += ("gan_jax.schedules:Schedule", "gan_jax.data.sources:Dataset", "gan_jax.nothing:X")
TYPES += ("Schedule", "Config", "networks.mlp.Generator", "networks.mlp", "format")


@fuzzed
@given(grafted(CONFIG, *TYPES, "widths", "steps", "seeds", "sweep", "data", "relu"))
def test_a_config_is_read_back_or_refused(tree):
    found = survives(serialization.loads, json.dumps(tree))
    if found is not None:
        assert serialization.loads(serialization.dumps(found)) == found


@fuzzed
@given(damaged(serialization.dumps(small.CONFIG).encode()))
def test_a_config_of_any_bytes(tmp_path, raw):
    (tmp_path / "config.json").write_bytes(raw)
    survives(run_folder.load_config, tmp_path)


@pytest.mark.parametrize("name", ["os:system", "subprocess:Popen", "this", "this.s"])
def test_types_of_other_packages_are_not_even_imported(name):
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


def summarise(folder):
    return record.summarize_run(folder, [{}])


def goes_on(folder):
    metrics_log.MetricsLog(folder / "metrics.jsonl", 10, 15)
    return metrics_log.read_metrics(folder)


def timed(folder):
    return timing.Timing(folder / "timing.json", [0], 5, {})


def of_result(folder):
    there = compare.load_run_record(folder / "result.json")
    return compare.format_comparison(compare.compare(there, there))


def of_run(folder):
    there = compare.load_run_record(folder)
    other = dataclasses.replace(there, rows={10: ROWS[0]}, versions=VERSIONS)
    return compare.format_comparison(compare.compare(there, other))


def drawn(folder):
    return curves.plot_curves(folder, folder / "curves.png")


FOLDER_FILES = {
    "metrics.jsonl": (LINES, [metrics_log.read_metrics, goes_on, of_run, summarise]),
    "versions.json": (
        json.dumps(VERSIONS),
        [lambda f: run_folder.load_example(f, 2), run_folder.load_audio_format, of_run],
    ),
    "settings.json": (
        serialization.dumps_settings(small.LOGGING, Runtime()),
        [run_folder.load_settings, of_run],
    ),
    "timing.json": (json.dumps(TIMING), [timing.read_timing, timed, summarise]),
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
        [digest.read_digests, of_run],
    ),
    "vocabulary.json": (json.dumps(["a", "b"]), [corpus.load_vocabulary]),
    "result.json": (json.dumps(RESULT), [of_result]),
}
NAMES = ("step", "data", "real", "cond", "float32", "cards", "values", "rate", "bins", "to_step")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A run folder as far as it is JSON."""
    made = tmp_path_factory.mktemp("runs") / "run"
    (made / "samples").mkdir(parents=True)
    (made / "config.json").write_text(serialization.dumps(small.CONFIG))
    for name, (whole, _) in FOLDER_FILES.items():
        (made / name).write_text(whole)
    return made


def test_the_whole_folder_is_read(folder):
    for name in ("metrics.jsonl", "scores.json", "digests.jsonl", "vocabulary.json"):
        for read in FOLDER_FILES[name][1][:1]:
            assert read(folder)
    assert run_folder.load_example(folder, 2).real.shape == (2, 8, 8, 1)
    assert "the runs agree" in of_result(folder)


@pytest.mark.parametrize("name", FOLDER_FILES)
@fuzzed
@given(data=st.data())
def test_files_of_a_run_folder(folder, name, data):
    whole, readers = FOLDER_FILES[name]
    if name.endswith(".jsonl"):
        lines = [json.loads(line) for line in whole.splitlines()]
        rows = grafted(lines, *NAMES)
        as_text = rows.map(
            lambda tree: (
                "\n".join(map(json.dumps, tree)) + "\n"
                if isinstance(tree, list)
                else json.dumps(tree)
            )
        )
    else:
        as_text = grafted(json.loads(whole), *NAMES).map(json.dumps)
    raw = data.draw(st.one_of(as_text.map(str.encode), damaged(whole.encode())))
    try:
        for read in readers:
            (folder / name).write_bytes(raw)
            survives(read, folder)
    finally:
        (folder / name).write_text(whole)


@pytest.mark.parametrize("name", FOLDER_FILES)
def test_files_nested_too_deep_and_numbers_too_long(folder, name):
    whole, readers = FOLDER_FILES[name]
    try:
        for raw in ("[" * 100_000, '{"step": ' * 50_000, "1" * 10_000, '{"step": 1e999}'):
            for read in readers:
                (folder / name).write_text(raw)
                survives(read, folder)
    finally:
        (folder / name).write_text(whole)


@pytest.mark.parametrize("loss", [None, [], [None], 1e308, [0.5, 0.5]])
def test_runs_part_at_any_values(folder, loss):
    there = compare.load_run_record(folder)
    other = dataclasses.replace(there, rows={10: ROWS[0] | {"disc_loss": loss}})
    for a, b in ((there, other), (other, there)):
        assert "metrics: step 10, disc_loss" in compare.format_comparison(compare.compare(a, b))


@pytest.mark.parametrize("shape", [[2**20, 2**20], [10**12], [-1], [2.5], "ab", [[1]], [1] * 40])
def test_examples_of_impossible_shapes_are_refused_before_they_are_made(folder, shape):
    whole = (folder / "versions.json").read_text()
    (folder / "versions.json").write_text(
        json.dumps(VERSIONS | {"data": VERSIONS["data"] | {"real": shape}})
    )
    try:
        with pytest.raises(UserError, match=r"versions\.json cannot be read"):
            run_folder.load_example(folder, 64)
    finally:
        (folder / "versions.json").write_text(whole)


# --- data ---


def saved(image, form, **how):
    file = io.BytesIO()
    image.save(file, form, **how)
    return file.getvalue()


def zipped(**arrays):
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    return file.getvalue()


def sound(dtype):
    file = io.BytesIO()
    wavfile.write(file, 8000, (RANDOM.normal(size=200) * 99).astype(dtype))
    return file.getvalue()


PIXELS = Image.fromarray(RANDOM.integers(0, 256, (6, 5, 3), np.uint8))
PICTURES = [saved(PIXELS, form) for form in ("PNG", "GIF", "BMP", "TIFF", "PPM", "JPEG", "WEBP")]
IDX = b"\0\0\x08\x03\0\0\0\x02\0\0\0\x03\0\0\0\x03" + bytes(18)
IMAGES = zipped(images=np.zeros((3, 4, 4), np.uint8), labels=np.arange(3))
DATA_FILES = {
    "folder": ("one.png", damaged(*PICTURES)),
    "npz": ("set.npz", damaged(IMAGES)),
    "idx": ("train-images-idx3-ubyte", damaged(IDX)),
    "sounds": ("one.wav", damaged(sound(np.int16), sound(np.float32), sound(np.uint8))),
    "lines": ("text.txt", damaged(b"a few words\nand others, more\nof them\n" * 4)),
    "running_text": ("text.txt", damaged("sentences, \u00e9ach of them ".encode() * 9)),
}


@pytest.mark.parametrize("name", DATA_FILES)
@fuzzed
@given(drawn=st.data())
def test_data_of_any_bytes(tmp_path, name, drawn):
    file, raws = DATA_FILES[name]
    (tmp_path / file).write_bytes(drawn.draw(raws))
    whole_folder = name in ("folder", "idx", "sounds")
    path = str(tmp_path if whole_folder else tmp_path / file)
    if name in ("lines", "running_text"):
        data = TextData(name, path=path, tokens=3, vocabulary=20)
    elif name == "sounds":
        data = AudioData(name, path=path, length=64)
    else:
        data = ImageData(name, path=path)
    found = survives(sources.load, data)
    assert found is None or len(found) > 0


@fuzzed
@given(raw=damaged(*PICTURES), mask=damaged(PICTURES[0]), kind=st.sampled_from(["alpha", "masks"]))
def test_masks_of_any_bytes(tmp_path, raw, mask, kind):
    """What is wrong with one picture is an Exception of its reader's, by which it is left out."""
    (tmp_path / "masks").mkdir(exist_ok=True)
    (tmp_path / "one.png").write_bytes(raw)
    (tmp_path / "masks" / "one.png").write_bytes(mask)
    where = "alpha" if kind == "alpha" else str(tmp_path / "masks")
    try:
        picture = pixels.decode(tmp_path / "one.png", 3)
        hole = inpainting_files.load_mask(tmp_path / "one.png", tmp_path, where)
    except Exception:
        return
    assert (picture.dtype, hole.dtype) == (np.uint8, bool)


def bomb(shape, stored):
    """An npz whose array says that it is of this shape, and holds so many bytes."""
    file, header = io.BytesIO(), io.BytesIO()
    says = {"descr": "|u1", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(header, says)
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("images.npy", header.getvalue() + bytes(stored))
    return file.getvalue()


def test_arrays_that_promise_more_than_there_is_are_refused_unread(tmp_path, monkeypatch):
    path = tmp_path / "set.npz"
    monkeypatch.setattr(np, "load", lambda *_, **__: pytest.fail("it is read"))
    path.write_bytes(bomb((2**30, 64, 64), 10))
    small.refused(ImageData("npz", path=str(path)), "too short for uint8 [1073741824, 64, 64]")
    monkeypatch.setattr("gan_jax.core.memory.host_limit", lambda: 10_000)
    path.write_bytes(bomb((1, 200, 200), 40_000))
    small.refused(ImageData("npz", path=str(path)), "0.0 GiB exceed the memory")


class Fires:
    def __reduce__(self):
        return pytest.fail, ("code of the file ran",)


def test_pickles_are_not_run(tmp_path):
    path = tmp_path / "set.npz"
    np.savez(path, images=np.array([Fires()] * 3, object))
    small.refused(ImageData("npz", path=str(path)), "not a readable npz file")
    path.write_bytes(pickle.dumps(Fires()))
    small.refused(ImageData("npz", path=str(path)), "not a complete zip archive")
    with pytest.raises(UserError, match="PyTorch checkpoint"):
        torch_checkpoint.read_state_dict(path)


LEGACY = b"".join(pickle.dumps(one, 2) for one in (*torch_checkpoint.LEGACY, {}, {}, []))


@fuzzed
@given(raw=damaged(LEGACY, IMAGES))
def test_weights_of_any_bytes(tmp_path, raw):
    (tmp_path / "weights.pth").write_bytes(raw)
    survives(torch_checkpoint.read_state_dict, tmp_path / "weights.pth")


# --- prepared sets ---


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """A prepared set of six pictures in two files, with labels."""
    out = tmp_path_factory.mktemp("sets") / "set"
    source = out.parent / "set.npz"
    real, labels = RANDOM.integers(0, 256, (6, 4, 4), np.uint8), np.arange(6)
    source.write_bytes(zipped(images=real, labels=labels))
    prepare.prepare(ImageData("npz", path=str(source)), out, shard_size=3)
    return out


def pixels_of(folder: Path):
    dataset = sources.load(ImageData("prepared", path=str(folder), labels=True))
    return np.asarray(dataset.batch.real), dataset.batch.cond


@pytest.mark.parametrize("name", ["prepared.json", "labels.npy", "shard-00001.array_record"])
@fuzzed
@given(data=st.data())
def test_prepared_sets_of_any_bytes(prepared, name, data):
    whole = (prepared / name).read_bytes()
    raws = damaged(whole)
    if name == "prepared.json":
        tree = grafted(json.loads(whole), "shape", "shards", "examples", "raw", "png", "../x")
        raws = st.one_of(raws, tree.map(lambda found: json.dumps(found).encode()))
    try:
        (prepared / name).write_bytes(data.draw(raws))
        found = survives(pixels_of, prepared)
    finally:
        (prepared / name).write_bytes(whole)
    if found is not None:
        assert found[0].dtype == np.uint8
        assert len(found[0]) == len(found[1])
