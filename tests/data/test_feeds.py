"""Data feeds: streamed and resident data sets give the same bits."""

import dataclasses
import itertools
import json
import multiprocessing
import shutil

import jax
import numpy as np
import pytest

from gan_jax.config import ImageData, Penalties, Runtime, population
from gan_jax.core import keys, memory
from gan_jax.core.errors import UserError
from gan_jax.data import feeds, order, sources
from gan_jax.data.images import prepare
from gan_jax.training import loop
from tests.helpers import small
from tests.helpers.small import assert_same_bits, fit

LABELED = dataclasses.replace(small.CONFIG.data, labels=True)


@pytest.fixture
def short_blocks(monkeypatch):
    """Use blocks of five steps, which end at other steps than the chunks of a run."""
    monkeypatch.setattr(feeds, "LONGEST_BLOCK", 5)


def make_config(**changes):
    """Return a config without penalties, which do not affect feeds."""
    return small.config(**{"loss": "hinge", "penalties": Penalties(), **changes})


def train(config, devices, state=None, **options):
    """Return the last state and all metrics of a run with these runtime options."""
    selected = jax.local_devices()[:devices]
    with small.sharing_programs():
        chunks = list(loop.iterate(config, None, state, selected, runtime=Runtime(**options)))
    rows = [metrics for _, _, metrics in chunks]
    return chunks[-1][1], {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}


@pytest.mark.parametrize(("devices", "seeds"), [(1, ()), small.nightly(2, (0, 3))])
@pytest.mark.usefixtures("short_blocks")
def test_a_streamed_run_has_the_same_bits_as_a_resident_run(devices, seeds):
    config = make_config(steps=12, seeds=seeds)
    state, metrics = train(config, devices)
    streamed_state, streamed_metrics = train(config, devices, stream=True)
    assert_same_bits(state, streamed_state)
    assert_same_bits(metrics, streamed_metrics)


@pytest.mark.usefixtures("short_blocks")
def test_a_streamed_run_resumes_in_the_middle_of_a_block():
    complete, _ = train(make_config(steps=12), 1, stream=True)
    partial, _ = train(make_config(steps=7), 1, stream=True)
    assert_same_bits(complete, train(make_config(steps=12), 1, state=partial, stream=True)[0])
    # Nothing is left to train.
    assert (
        list(loop.iterate(make_config(steps=12), None, complete, runtime=Runtime(stream=True)))
        == []
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"workers": 2}, "^workers must be .* got 2$"),
        ({"members_at_once": 0}, "^members_at_once must be .* got 0$"),
    ],
)
def test_runtime_options_without_effect_are_rejected(options, message):
    with pytest.raises(UserError, match=message):
        loop.iterate(make_config(steps=12), None, runtime=Runtime(**options))


@pytest.mark.parametrize("shards", [1, 4])
@pytest.mark.parametrize("seeds", [(), (5, 6, 7)])
@pytest.mark.usefixtures("short_blocks")
def test_blocks_hold_the_examples_of_their_steps(seeds, shards):
    config = make_config(data=LABELED, seeds=seeds, seed=5)
    dataset, devices = sources.load(config.data), jax.local_devices()[:shards]
    blocks = feeds.streamed(config, dataset, devices, step=7)
    for end in (10, 15):
        block, block_end = next(blocks)
        assert block_end == end
        assert (np.asarray(block.first) == end - 5).all()
        for number, member in enumerate(population.member_configs(config)):
            root = population.root_keys(member)
            for step in range(end - 5, end):
                indices = order.indices(root, step, config.n_critic, 16, len(dataset))
                index = (slice(None), number) if seeds else (slice(None),)
                for leaf, dataset_leaf in zip(
                    jax.tree.leaves(block.batch), jax.tree.leaves(dataset.batch), strict=True
                ):
                    # [shards, n_critic, n, ...]
                    examples = np.asarray(leaf)[(*index, step - end + 5)]
                    examples = np.concatenate(list(examples), axis=1)
                    np.testing.assert_array_equal(examples, dataset_leaf[np.asarray(indices)])


@pytest.mark.parametrize("shards", [1, 4])
@pytest.mark.usefixtures("short_blocks")
def test_members_may_have_separate_data_sets(shards):
    config, devices = make_config(data=LABELED, seeds=(5, 6, 5)), jax.local_devices()[:shards]
    data = [dataclasses.replace(LABELED, per_class=9, subset_seed=seed) for seed in range(3)]
    sets = [sources.load(entry) for entry in data]
    block, _ = next(feeds.streamed(config, sets, devices, step=7))
    for i, (member, dataset) in enumerate(
        zip(population.member_configs(config), sets, strict=True)
    ):
        single, _ = next(feeds.streamed(member, dataset, devices, step=7))
        assert_same_bits(jax.tree.map(lambda leaf, i=i: leaf[:, i], block), single)


@pytest.mark.parametrize(
    ("sizes", "message"),
    [((3,), r"2 data sets of one size, got 1 of"), ((3, 4), r"got 2 of sizes \[30, 40\]")],
    ids=["too few", "different sizes"],
)
def test_data_sets_of_members_must_have_one_size(sizes, message):
    sets = [sources.load(dataclasses.replace(LABELED, per_class=k)) for k in sizes]
    with pytest.raises(UserError, match=message):
        loop.iterate(make_config(data=LABELED, seeds=(0, 1)), sets)


def test_block_length_is_limited_by_bytes(monkeypatch):
    config = make_config()
    step = config.n_critic * config.batch_size * 64  # bytes, with 8x8 pixels per example
    monkeypatch.setattr(feeds, "BLOCK_BYTES", 3 * step + 1)
    dataset = sources.load(config.data)
    block, end = next(feeds.streamed(config, dataset, jax.local_devices()[:1], step=0))
    assert end == 3
    assert block.batch.real.shape == (1, 3, 2, 16, 8, 8, 1)
    monkeypatch.setattr(feeds, "BLOCK_BYTES", step - 1)
    assert next(feeds.streamed(config, dataset, jax.local_devices()[:1], step=0))[1] == 1


@pytest.mark.usefixtures("short_blocks")
def test_the_next_block_is_gathered_during_training(monkeypatch):
    placed = []
    shard = feeds.shard
    monkeypatch.setattr(feeds, "shard", lambda *args: placed.append(1) or shard(*args))
    blocks = feeds.streamed(
        make_config(), sources.load(make_config().data), jax.local_devices()[:1], 0
    )
    next(blocks)
    blocks.close()  # waits for the thread
    assert len(placed) == 2


@pytest.mark.usefixtures("short_blocks")
def test_errors_in_the_thread_are_raised(monkeypatch):
    def fail(*_):
        raise UserError("the disk is gone")

    monkeypatch.setattr(feeds, "shard", fail)
    with pytest.raises(UserError, match="the disk is gone"):
        train(make_config(steps=3), 1, stream=True)


@pytest.mark.usefixtures("short_blocks")
def test_a_streamed_run_writes_the_same_files(tmp_path):
    for name, stream in (("a", False), ("b", True)):
        fit(make_config(steps=12), tmp_path / name, runtime=Runtime(stream=stream))
    for path in ("metrics.jsonl", "samples/step_00000012.png", "config.json"):
        assert (tmp_path / "a" / path).read_bytes() == (tmp_path / "b" / path).read_bytes()
    rows = (tmp_path / "a" / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(row)["step"] for row in rows] == [3, 6, 9, 12]


# --- prepared data sets: the same bits from disk ---


@pytest.fixture(scope="module")
def prepared_digits(tmp_path_factory):
    """Return the data config of the digits, prepared as three files."""
    out = tmp_path_factory.mktemp("sets") / "digits"
    prepare.prepare(ImageData("digits", "all"), out, shard_size=700)
    return ImageData("prepared", "all", path=str(out))


@pytest.mark.parametrize(("workers", "seeds"), [(0, (5, 6)), (2, ())], ids=["threads", "processes"])
def test_blocks_from_disk_equal_blocks_from_memory(prepared_digits, workers, seeds, monkeypatch):
    monkeypatch.setattr(feeds, "LONGEST_BLOCK", 32)  # read in two parts
    config = make_config(data=LABELED, seeds=seeds, steps=60)
    from_disk = dataclasses.replace(config, data=dataclasses.replace(prepared_digits, labels=True))
    devices = jax.local_devices()[:2]
    disk_blocks = feeds.streamed(from_disk, sources.load(from_disk.data), devices, 32, workers)
    memory_blocks = feeds.streamed(config, sources.load(config.data), devices, 32)
    (block, end), (expected, expected_end) = next(disk_blocks), next(memory_blocks)
    assert end == expected_end == 64
    assert_same_bits(block, expected)
    disk_blocks.close()


@pytest.mark.usefixtures("short_blocks")
def test_a_run_from_disk_has_the_same_bits_as_a_resident_run(prepared_digits):
    config = make_config(steps=7)
    from_disk = dataclasses.replace(config, data=prepared_digits)
    expected = train(config, 1)
    for stream in (False, True):
        assert_same_bits(train(from_disk, 1, stream=stream), expected)


def test_a_data_set_larger_than_memory_requires_streaming(prepared_digits, monkeypatch):
    monkeypatch.setattr(memory, "device_limit", lambda device: 1797 * 64 - 1)
    with pytest.raises(UserError, match="give --stream"):
        train(make_config(steps=3, data=prepared_digits), 1)


def test_a_missing_file_ends_the_run_with_a_one_line_error(prepared_digits, tmp_path):
    shutil.copytree(prepared_digits.path, tmp_path / "set")
    config = make_config(
        steps=64, data=dataclasses.replace(prepared_digits, path=str(tmp_path / "set"))
    )
    dataset = sources.load(config.data)
    (tmp_path / "set" / "shard-00001.array_record").unlink()
    with pytest.raises(UserError, match=r"image \d+ cannot be read: .*shard-00001"):
        next(feeds.streamed(config, dataset, jax.local_devices()[:1], 0))


def test_a_killed_worker_ends_the_run_with_a_one_line_error(prepared_digits, monkeypatch):
    monkeypatch.setattr(feeds, "LONGEST_BLOCK", 32)
    config = make_config(steps=2**16, data=prepared_digits)
    blocks = feeds.streamed(
        config, sources.load(config.data), jax.local_devices()[:1], 0, workers=1
    )
    next(blocks)
    for worker in multiprocessing.active_children():
        worker.kill()
    with pytest.raises(UserError, match=r"streaming the data failed: .*terminated unexpectedly"):
        list(itertools.islice(blocks, 40))  # blocks that are already gathered come first


def test_workers_require_a_prepared_data_set():
    with pytest.raises(UserError, match="prepared set, got 1"):
        train(make_config(steps=3), 1, stream=True, workers=1)


@pytest.mark.parametrize("batch", [1, 3, 16])
@pytest.mark.parametrize("examples", [1, 5, 1797, 2**31 - 1])
def test_the_host_order_equals_the_device_order(batch, examples):
    root, steps = keys.root_key(3), range(40, 43)
    epochs = range(40 * 2 * batch // examples, 43 * 2 * batch // examples + 1)
    secrets = order.epoch_secrets(root, epochs)
    host_indices = order.host_indices(secrets, epochs.start, steps, 2, batch, examples)
    for indices, step in zip(host_indices, steps, strict=True):
        expected = order.indices(root, step, 2, batch, examples)
        np.testing.assert_array_equal(indices, np.asarray(expected))
