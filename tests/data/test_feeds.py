"""Contract 5: a set that rests on the devices and one that is streamed give the same bits."""

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
    """Blocks of five steps, which the chunks of a run do not meet."""
    monkeypatch.setattr(feeds, "LONGEST_BLOCK", 5)


def config(**changes):
    """Without penalties, which no feed minds."""
    return small.config(**{"loss": "hinge", "penalties": Penalties(), **changes})


def ran(some, devices, state=None, **options):
    """The last state and all metrics of `iterate` with these options of the runtime."""
    used = jax.local_devices()[:devices]
    with small.sharing_programs():
        found = list(loop.iterate(some, None, state, used, runtime=Runtime(**options)))
    rows = [metrics for _, _, metrics in found]
    return found[-1][1], {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}


@pytest.mark.parametrize(("devices", "seeds"), [(1, ()), small.nightly(2, (0, 3))])
@pytest.mark.usefixtures("short_blocks")
def test_a_streamed_run_has_the_bits_of_a_resident_one(devices, seeds):
    some = config(steps=12, seeds=seeds)
    state, metrics = ran(some, devices)
    streamed_state, streamed_metrics = ran(some, devices, stream=True)
    assert_same_bits(state, streamed_state)
    assert_same_bits(metrics, streamed_metrics)


@pytest.mark.usefixtures("short_blocks")
def test_a_streamed_run_goes_on_in_the_middle_of_a_block():
    whole, _ = ran(config(steps=12), 1, stream=True)
    part, _ = ran(config(steps=7), 1, stream=True)
    assert_same_bits(whole, ran(config(steps=12), 1, state=part, stream=True)[0])
    assert (
        list(loop.iterate(config(steps=12), None, whole, runtime=Runtime(stream=True))) == []
    )  # at its end


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"workers": 2}, "^workers must be .* got 2$"),
        ({"members_at_once": 0}, "^members_at_once must be .* got 0$"),
    ],
)
def test_ways_of_running_that_would_be_ignored_are_refused(options, says):
    with pytest.raises(UserError, match=says):
        loop.iterate(config(steps=12), None, runtime=Runtime(**options))


@pytest.mark.parametrize("shards", [1, 4])
@pytest.mark.parametrize("seeds", [(), (5, 6, 7)])
@pytest.mark.usefixtures("short_blocks")
def test_blocks_hold_the_examples_of_their_steps(seeds, shards):
    some = config(data=LABELED, seeds=seeds, seed=5)
    dataset, devices = sources.load(some.data), jax.local_devices()[:shards]
    blocks = feeds.streamed(some, dataset, devices, step=7)
    for end in (10, 15):
        block, its_end = next(blocks)
        assert its_end == end
        assert (np.asarray(block.first) == end - 5).all()
        for number, one in enumerate(population.member_configs(some)):
            root = population.root_keys(one)
            for step in range(end - 5, end):
                chosen = order.indices(root, step, some.n_critic, 16, len(dataset))
                mine = (slice(None), number) if seeds else (slice(None),)
                for leaf, all_of_them in zip(
                    jax.tree.leaves(block.batch), jax.tree.leaves(dataset.batch), strict=True
                ):
                    found = np.asarray(leaf)[(*mine, step - end + 5)]  # [shards, n_critic, n, ...]
                    found = np.concatenate(list(found), axis=1)
                    np.testing.assert_array_equal(found, all_of_them[np.asarray(chosen)])


@pytest.mark.parametrize("shards", [1, 4])
@pytest.mark.usefixtures("short_blocks")
def test_members_may_have_a_set_each(shards):
    some, devices = config(data=LABELED, seeds=(5, 6, 5)), jax.local_devices()[:shards]
    data = [dataclasses.replace(LABELED, per_class=9, subset_seed=seed) for seed in range(3)]
    sets = [sources.load(one) for one in data]
    block, _ = next(feeds.streamed(some, sets, devices, step=7))
    for i, (one, own) in enumerate(zip(population.member_configs(some), sets, strict=True)):
        alone, _ = next(feeds.streamed(one, own, devices, step=7))
        assert_same_bits(jax.tree.map(lambda leaf, i=i: leaf[:, i], block), alone)


@pytest.mark.parametrize(
    ("sizes", "says"),
    [((3,), r"2 data sets of one size, got 1 of"), ((3, 4), r"got 2 of sizes \[30, 40\]")],
    ids=["too few", "of two sizes"],
)
def test_a_set_for_each_member_of_one_size(sizes, says):
    sets = [sources.load(dataclasses.replace(LABELED, per_class=k)) for k in sizes]
    with pytest.raises(UserError, match=says):
        loop.iterate(config(data=LABELED, seeds=(0, 1)), sets)


def test_blocks_are_cut_by_their_bytes(monkeypatch):
    some = config()
    step = some.n_critic * some.batch_size * 64  # bytes: 8x8 pixels an example
    monkeypatch.setattr(feeds, "BLOCK_BYTES", 3 * step + 1)
    dataset = sources.load(some.data)
    block, end = next(feeds.streamed(some, dataset, jax.local_devices()[:1], step=0))
    assert end == 3
    assert block.batch.real.shape == (1, 3, 2, 16, 8, 8, 1)
    monkeypatch.setattr(feeds, "BLOCK_BYTES", step - 1)
    assert next(feeds.streamed(some, dataset, jax.local_devices()[:1], step=0))[1] == 1


@pytest.mark.usefixtures("short_blocks")
def test_the_next_block_is_gathered_while_one_is_trained_on(monkeypatch):
    placed = []
    shard = feeds.shard
    monkeypatch.setattr(feeds, "shard", lambda *args: placed.append(1) or shard(*args))
    blocks = feeds.streamed(config(), sources.load(config().data), jax.local_devices()[:1], 0)
    next(blocks)
    blocks.close()  # which waits for the thread
    assert len(placed) == 2


@pytest.mark.usefixtures("short_blocks")
def test_what_goes_wrong_in_the_thread_is_raised(monkeypatch):
    def fail(*_):
        raise UserError("the disk is gone")

    monkeypatch.setattr(feeds, "shard", fail)
    with pytest.raises(UserError, match="the disk is gone"):
        ran(config(steps=3), 1, stream=True)


@pytest.mark.usefixtures("short_blocks")
def test_a_streamed_run_folder_holds_the_same_files(tmp_path):
    for name, stream in (("a", False), ("b", True)):
        fit(config(steps=12), tmp_path / name, runtime=Runtime(stream=stream))
    for path in ("metrics.jsonl", "samples/step_00000012.png", "config.json"):
        assert (tmp_path / "a" / path).read_bytes() == (tmp_path / "b" / path).read_bytes()
    rows = (tmp_path / "a" / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(row)["step"] for row in rows] == [3, 6, 9, 12]


# --- prepared sets: the same bits from the disk ---


@pytest.fixture(scope="module")
def prepared_digits(tmp_path_factory):
    """The digits as a prepared set of three files, and as it is named."""
    out = tmp_path_factory.mktemp("sets") / "digits"
    prepare.prepare(ImageData("digits", "all"), out, shard_size=700)
    return ImageData("prepared", "all", path=str(out))


@pytest.mark.parametrize(("workers", "seeds"), [(0, (5, 6)), (2, ())], ids=["threads", "processes"])
def test_blocks_from_the_disk_are_those_from_memory(prepared_digits, workers, seeds, monkeypatch):
    monkeypatch.setattr(feeds, "LONGEST_BLOCK", 32)  # which is read in two parts
    some = config(data=LABELED, seeds=seeds, steps=60)
    from_disk = dataclasses.replace(some, data=dataclasses.replace(prepared_digits, labels=True))
    devices = jax.local_devices()[:2]
    ours = feeds.streamed(from_disk, sources.load(from_disk.data), devices, 32, workers)
    theirs = feeds.streamed(some, sources.load(some.data), devices, 32)
    (block, end), (expected, its_end) = next(ours), next(theirs)
    assert end == its_end == 64
    assert_same_bits(block, expected)
    ours.close()


@pytest.mark.usefixtures("short_blocks")
def test_a_run_from_the_disk_has_the_bits_of_a_resident_one(prepared_digits):
    some = config(steps=7)
    from_disk = dataclasses.replace(some, data=prepared_digits)
    expected = ran(some, 1)
    for stream in (False, True):
        assert_same_bits(ran(from_disk, 1, stream=stream), expected)


def test_a_set_larger_than_memory_is_to_be_streamed(prepared_digits, monkeypatch):
    monkeypatch.setattr(memory, "device_limit", lambda device: 1797 * 64 - 1)
    with pytest.raises(UserError, match="give --stream"):
        ran(config(steps=3, data=prepared_digits), 1)


def test_a_file_that_vanishes_ends_the_run_in_one_line(prepared_digits, tmp_path):
    shutil.copytree(prepared_digits.path, tmp_path / "set")
    some = config(steps=64, data=dataclasses.replace(prepared_digits, path=str(tmp_path / "set")))
    dataset = sources.load(some.data)
    (tmp_path / "set" / "shard-00001.array_record").unlink()
    with pytest.raises(UserError, match=r"image \d+ cannot be read: .*shard-00001"):
        next(feeds.streamed(some, dataset, jax.local_devices()[:1], 0))


def test_a_worker_that_dies_ends_the_run_in_one_line(prepared_digits, monkeypatch):
    monkeypatch.setattr(feeds, "LONGEST_BLOCK", 32)
    some = config(steps=2**16, data=prepared_digits)
    blocks = feeds.streamed(some, sources.load(some.data), jax.local_devices()[:1], 0, workers=1)
    next(blocks)
    for worker in multiprocessing.active_children():
        worker.kill()
    with pytest.raises(UserError, match=r"streaming the data failed: .*terminated unexpectedly"):
        list(itertools.islice(blocks, 40))  # what it had gathered is used up first


def test_processes_read_prepared_sets_only():
    with pytest.raises(UserError, match="prepared set, got 1"):
        ran(config(steps=3), 1, stream=True, workers=1)


@pytest.mark.parametrize("batch", [1, 3, 16])
@pytest.mark.parametrize("examples", [1, 5, 1797, 2**31 - 1])
def test_the_order_on_the_host_is_that_of_the_devices(batch, examples):
    root, steps = keys.root_key(3), range(40, 43)
    epochs = range(40 * 2 * batch // examples, 43 * 2 * batch // examples + 1)
    secrets = order.epoch_secrets(root, epochs)
    found = order.host_indices(secrets, epochs.start, steps, 2, batch, examples)
    for ours, step in zip(found, steps, strict=True):
        expected = order.indices(root, step, 2, batch, examples)
        np.testing.assert_array_equal(ours, np.asarray(expected))
