"""The benchmark runs, counts operations correctly, and has equal PyTorch implementations."""

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


def test_operations_of_a_step_are_those_of_its_matrix_products(small_case):
    config, dataset = small_case

    # A matrix product has 2 operations per weight and example. The discriminator update runs the
    # generator forward and, for real and fake examples, the discriminator forward and backward:
    # gradients of its weights, and of the inputs of all but its first layer. The generator update
    # runs both forward, then computes gradients of all inputs of the discriminator, but not of its
    # weights, and of the generator as above.
    def products(params):
        kernels = [leaf.size for leaf in jax.tree.leaves(params) if leaf.ndim == 2]
        first = max(kernels, key=lambda size: (size == params["Dense_0"]["kernel"].size, size))
        return sum(kernels), sum(kernels) - first

    state = initialize(config, dataset, jax.local_devices()[:1])
    (gen, gen_inputs), (disc, disc_inputs) = map(products, (state.gen.params, state.disc.params))
    expected = gen + 2 * (2 * disc + disc_inputs)  # discriminator update
    expected += 2 * gen + gen_inputs + 2 * disc  # generator update
    counted = measure.step_flops(config, dataset) / (2 * config.batch_size)
    assert counted >= expected
    modeled = scaling_model.num_operations(config, dataset) / (2 * config.batch_size)
    assert counted == pytest.approx(modeled, rel=0.01)  # n_critic is 1: no loop
    # Other operations are pointwise: losses, activations, Adam, the check for finite updates.
    parameters = sum(leaf.size for leaf in jax.tree.leaves((state.gen.params, state.disc.params)))
    assert counted <= expected + 40 * parameters / (2 * config.batch_size)


def test_a_population_counts_the_examples_of_all_members(small_case):
    config, dataset = small_case
    devices = jax.local_devices()
    scan = measure.program_variant("scan", config, dataset, devices[:1])
    pmap = measure.program_variant("pmap", config, dataset, devices[:2])
    population_config = config.replace(seeds=(0, 1, 2))
    population = measure.program_variant("population", population_config, dataset, devices[:1], 2)
    assert (scan.examples, pmap.examples, population.examples) == (8, 8, 24)
    assert population.facts["members_at_once"] == 2
    assert pmap.facts["devices"] == 2
    rates = measure.alternate([scan, population], repeats=2, duration=0.01)
    assert {name: len(rate) for name, rate in rates.items()} == {"scan": 2, "population": 2}


def run_benchmark(*flags):
    arguments = [sys.executable, "-m", "benchmarks", *flags]
    return subprocess.run(arguments, capture_output=True, text=True, check=False)


@pytest.mark.nightly
def test_the_benchmark_measures_all_variants_and_rejects_unknown_networks(tmp_path):
    process = run_benchmark("--networks", "mpl")
    assert (process.returncode, process.stderr.count("\n")) == (2, 1)
    assert "'mpl'" in process.stderr
    out = tmp_path / "figures.json"
    flags = ["--networks", "ring", "--repeats", "1", "--seconds", "0.01", "--out", str(out)]
    process = run_benchmark(*flags)
    assert process.returncode == 0, process.stderr
    record = json.loads(out.read_text())
    assert record["command"].startswith("python -m benchmarks --networks ring")
    variants = record["networks"]["ring"]["ways"]
    assert {"jit", "scan", "pmap", "population of 8", "population of 16"} == variants.keys()
    for figures in variants.values():
        assert 0 < figures["share_of_peak"] < 1.2  # the measured peak may be too low
        assert figures["memory_bytes"] > 4 * 21_378  # its parameters


@pytest.mark.nightly
@pytest.mark.usefixtures("optimized")
@pytest.mark.parametrize("name", cases.CASES)
def test_pytorch_implementation_has_the_same_losses_and_gradients(name):
    pytest.importorskip("torch", reason="needs the extra `bench`", exc_type=ImportError)
    from benchmarks import compare

    config = cases.load_case(name).config
    differences = compare.verify(config, sources.load(config.data))
    assert differences.keys() >= {"disc_loss", "gen_loss", "disc_gradients", "gen_gradients"}
