"""The benchmark: it runs, its counts are right, and the PyTorch twins are equal."""

import json
import subprocess
import sys

import jax
import pytest

from benchmarks import cases, measure
from gan_jax.data import sources
from gan_jax.training.initialize import initialize
from studies import scaling_model


@pytest.fixture
def small_case():
    case = cases.load_case("mlp")
    return case.config.replace(batch_size=8), sources.load(case.config.data)


def test_operations_of_a_step_are_those_of_its_products(small_case):
    config, dataset = small_case

    # 2 per weight and example in each forward or backward product. The discriminator's update: the
    # generator forward; on both halves the discriminator forward, the gradients of its weights, and
    # of its inputs but those of the first layer. The generator's update: both forward, the
    # gradients of all inputs of the discriminator and none of its weights; the gradients of the
    # generator's weights, and of its inputs but those of the first layer.
    def products(params):
        kernels = [leaf.size for leaf in jax.tree.leaves(params) if leaf.ndim == 2]
        first = max(kernels, key=lambda size: (size == params["Dense_0"]["kernel"].size, size))
        return sum(kernels), sum(kernels) - first

    state = initialize(config, dataset, jax.local_devices()[:1])
    (gen, gen_after), (disc, disc_after) = map(products, (state.gen.params, state.disc.params))
    expected = gen + 2 * (2 * disc + disc_after)  # the discriminator's update
    expected += 2 * gen + gen_after + 2 * disc  # the generator's
    counted = measure.step_flops(config, dataset) / (2 * config.batch_size)
    assert counted >= expected
    modeled = scaling_model.num_operations(config, dataset) / (2 * config.batch_size)
    assert counted == pytest.approx(modeled, rel=0.01)  # one discriminator update is no loop
    # Everything else is pointwise: losses, activations, Adam, the check for finite updates.
    parameters = sum(leaf.size for leaf in jax.tree.leaves((state.gen.params, state.disc.params)))
    assert counted <= expected + 40 * parameters / (2 * config.batch_size)


def test_a_population_counts_the_examples_of_all_members(small_case):
    config, dataset = small_case
    devices = jax.local_devices()
    alone = measure.program_variant("scan", config, dataset, devices[:1])
    shared = measure.program_variant("pmap", config, dataset, devices[:2])
    population = config.replace(seeds=(0, 1, 2))
    three = measure.program_variant("population", population, dataset, devices[:1], 2)
    assert (alone.examples, shared.examples, three.examples) == (8, 8, 24)
    assert three.facts["members_at_once"] == 2
    assert shared.facts["devices"] == 2
    rates = measure.alternate([alone, three], repeats=2, duration=0.01)
    assert {name: len(rate) for name, rate in rates.items()} == {"scan": 2, "population": 2}


def benchmark(*flags):
    words = [sys.executable, "-m", "benchmarks", *flags]
    return subprocess.run(words, capture_output=True, text=True, check=False)


@pytest.mark.nightly
def test_it_measures_all_variants_and_refuses_unknown_networks(tmp_path):
    done = benchmark("--networks", "mpl")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "'mpl'" in done.stderr
    out = tmp_path / "figures.json"
    flags = ["--networks", "ring", "--repeats", "1", "--seconds", "0.01", "--out", str(out)]
    done = benchmark(*flags)
    assert done.returncode == 0, done.stderr
    record = json.loads(out.read_text())
    assert record["command"].startswith("python -m benchmarks --networks ring")
    variants = record["networks"]["ring"]["ways"]
    assert {"jit", "scan", "pmap", "population of 8", "population of 16"} == variants.keys()
    for figures in variants.values():
        assert 0 < figures["share_of_peak"] < 1.2  # the peak is measured, too, and may be unlucky
        assert figures["memory_bytes"] > 4 * 21_378  # its parameters


@pytest.mark.nightly
@pytest.mark.usefixtures("optimized")
@pytest.mark.parametrize("name", cases.CASES)
def test_twins(name):
    pytest.importorskip("torch", reason="needs the extra `bench`", exc_type=ImportError)
    from benchmarks import compare

    config = cases.load_case(name).config
    differences = compare.verify(config, sources.load(config.data))
    assert differences.keys() >= {"disc_loss", "gen_loss", "disc_gradients", "gen_gradients"}
