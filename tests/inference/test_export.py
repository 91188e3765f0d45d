"""Exported generators produce the samples of the run, even in a process with only JAX."""

import json
import shutil
import subprocess
import sys
import zipfile

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.traverse_util import unflatten_dict

from gan_jax.cli import app
from gan_jax.config import Config, Masks, Prior, serialization
from gan_jax.core import keys
from gan_jax.core.errors import UserError
from gan_jax.data.batch import Batch
from gan_jax.inference import generator, latent_space, load, sampling
from gan_jax.inference.export import standalone, write
from gan_jax.inference.inversion import Search, invert
from gan_jax.networks import interface, mlp, stylegan2
from gan_jax.training.state import generator_variables, init_state
from tests.helpers import small_networks

pytestmark = pytest.mark.integration

# Only JAX and its dependencies can be imported; flatbuffers is bundled with the exported file.
JAX_ONLY = """
import importlib.metadata, sys
needed = {"jax", "jaxlib", "numpy", "ml_dtypes", "opt_einsum", "scipy", "flatbuffers"}
blocked = set(importlib.metadata.packages_distributions()) - needed | {"gan_jax"}
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in blocked:
            raise ModuleNotFoundError(f"{name} is not here")
sys.meta_path.insert(0, Block())
sys.path.insert(0, sys.argv[1])
import generator, jax, numpy
import flatbuffers
assert flatbuffers.__file__.startswith(sys.argv[1])
assert {"flax", "optax", "PIL"} <= blocked
generate = generator.load(sys.argv[1])
z, labels = generate.noise(5, seed=3, first=2), generate.labels(5, first=2)
gradient = jax.grad(lambda z: (generate(z, labels) ** 2).sum())(z)
numpy.savez(sys.argv[2], z=z, made=generate(z, labels), slope=gradient)
"""


@pytest.fixture(scope="module")
def labeled_run(trained_run, tmp_path_factory):
    """Run folder of a class-conditional generator of digits, with checkpoints 5, 10 and 12."""
    return shutil.copytree(trained_run("labels"), tmp_path_factory.mktemp("runs") / "small")


@pytest.fixture(scope="module")
def exported_file(labeled_run, tmp_path_factory):
    """Exported generator of `labeled_run`."""
    path = tmp_path_factory.mktemp("out") / "gen.jaxexport"
    trained = load.load_generator(labeled_run)
    write.write_artifact(path, trained, manifest_of(labeled_run))
    return path


def manifest_of(workdir):
    from gan_jax.inference.export import manifest

    return manifest.make_manifest(workdir, load.load_generator(workdir))


def sample(path, n=20, seed=0):
    """Samples of a run folder or an exported file."""
    trained = load.load_generator(path)
    key = keys.step_key(keys.root_key(seed), keys.Purpose.SAMPLE, 0)
    return sampling.sample(trained.config, trained.variables, key, n)


def test_the_command_exports_the_images_of_the_run(command, labeled_run, tmp_path):
    out = tmp_path / "deep" / "gen.jaxexport"
    arguments = f"export {labeled_run} --out {out}"
    status, output, _ = command(app.main, arguments)
    assert (status, "the generator of small, step 12" in output) == (0, True)
    np.testing.assert_allclose(sample(out), sample(labeled_run), atol=1e-6)
    before = out.read_bytes()
    status, _, error = command(app.main, arguments)
    assert (status, error.count("\n")) == (2, 1)
    assert "--force" in error
    assert out.read_bytes() == before


def test_sample_and_synthesize_take_an_exported_file(command, labeled_run, exported_file, tmp_path):
    for source, name in ((labeled_run, "run"), (exported_file, "artefact")):
        out = tmp_path / name
        arguments = f"sample {source} --num-samples 20 --seed 3 --out {out.with_suffix('.png')}"
        assert command(app.main, arguments)[0] == 0
        arguments = f"synthesize {source} --per-class 2 --out {out}"
        assert command(app.main, arguments)[0] == 0
    grids = [(tmp_path / f"{name}.png").read_bytes() for name in ("run", "artefact")]
    assert grids[0] == grids[1]
    data_sets = [np.load(tmp_path / name / "samples.npz")["images"] for name in ("run", "artefact")]
    np.testing.assert_array_equal(*data_sets)


def test_inversion_works_with_an_exported_file(labeled_run, exported_file):
    """Gradients of the exported generator lead to the same latents as those of the run."""
    inversions = []
    for path in (labeled_run, exported_file):
        trained = load.load_generator(path)
        space = latent_space.make_latent_space(trained.config, trained.variables)
        target = (sample(labeled_run, 6, seed=5) + 0.1).clip(0, 1)
        search = Search(steps=20, samples=30, restarts=2)
        labels = np.arange(6, dtype=np.int32)
        inversions.append(invert(space, target, jax.random.key(0), search, cond=labels))
    np.testing.assert_allclose(inversions[0].errors, inversions[1].errors, rtol=1e-4)
    # Adam amplifies rounding errors of small gradients during these twenty steps.
    np.testing.assert_allclose(inversions[0].latents, inversions[1].latents, atol=2e-3)


def test_invert_and_interpolate_take_an_exported_file(command, exported_file, tmp_path):
    flags = "--split test --num-images 4 --iterations 3 --samples 20 --restarts 2"
    status, output, _ = command(
        app.main, f"invert {exported_file} {flags} --out {tmp_path / 'out'}"
    )
    assert (status, "4 images, step 12: mean error 0." in output) == (0, True)
    arguments = (
        f"interpolate {exported_file} --num-pairs 2 --columns 3 --out {tmp_path / 'ways.png'}"
    )
    assert command(app.main, arguments)[0] == 0


def test_an_exported_file_works_in_a_process_with_only_jax(labeled_run, exported_file, tmp_path):
    command_line = [sys.executable, "-I", "-c", JAX_ONLY, exported_file, tmp_path / "made.npz"]
    subprocess.run(command_line, check=True)
    trained = load.load_generator(labeled_run)
    labels = jnp.arange(2, 7)

    def generate(z):
        return trained.config.gen.apply(trained.variables, z, labels, train=False)

    with np.load(tmp_path / "made.npz") as saved:
        np.testing.assert_array_equal(saved["made"].shape, (5, 8, 8, 1))
        np.testing.assert_allclose(saved["made"], sample(labeled_run, 7, seed=3)[2:], atol=1e-6)
        gradient = jax.grad(lambda z: (generate(z) ** 2).sum())(saved["z"])
        np.testing.assert_allclose(saved["slope"], gradient, atol=1e-5)


def test_an_exported_file_is_executable(labeled_run, exported_file, tmp_path):
    command_line = [
        sys.executable,
        "-I",
        exported_file,
        "--num",
        "4",
        "--out",
        tmp_path / "made.npy",
    ]
    output = subprocess.run(command_line, check=True, capture_output=True, text=True).stdout
    assert "4 samples of small, seed 0" in output
    np.testing.assert_allclose(np.load(tmp_path / "made.npy"), sample(labeled_run, 4), atol=1e-6)


def test_the_manifest_describes_the_generator(labeled_run, exported_file):
    with zipfile.ZipFile(exported_file) as file:
        manifest = json.loads(file.read("manifest.json"))
        card = file.read("README.md").decode()
    assert (manifest["step"], manifest["classes"], manifest["z"]) == (
        12,
        10,
        {"dim": 8, "law": "normal"},
    )
    assert manifest["output"] == {
        "shape": [8, 8, 1],
        "dtype": "float32",
        "range": "pixels in [0, 1]",
    }
    assert (
        serialization.loads(json.dumps(manifest["config"]))
        == load.load_generator(labeled_run).config
    )
    digest = (labeled_run / "digests.jsonl").read_text().splitlines()[-1]
    assert manifest["digest"] == json.loads(digest)["sha256"]
    count = sum(
        leaf.size for leaf in jax.tree.leaves(load.load_generator(labeled_run).variables["params"])
    )
    assert manifest["parameters"] == count
    assert f"{count:,} parameters" in card
    assert "labels int32 [n] from 0 to 9" in card
    assert "Not evaluated" in card
    assert "invert gen.jaxexport" in card


def test_the_model_card_has_the_scores_of_the_exported_step(labeled_run):
    path, values = (
        labeled_run / "scores.json",
        {"values": [1.5], "seeds": [0], "mean": 1.5, "sd": None},
    )
    protocol = {"metric": "frechet", "features": "digits-classifier", "n_fake": 9, "n_real": 8}
    cards = [{**protocol, **values, "real": "digits train", "step": step} for step in (12, 13)]
    path.write_text(json.dumps({"versions": {}, "cards": cards}))
    manifest = manifest_of(labeled_run)
    path.unlink()
    assert [protocol["step"] for protocol in manifest["scores"]] == [12]
    from gan_jax.inference.export import model_card

    assert (
        "| frechet | digits-classifier | 9 | 8 of digits train | 1.5 |"
        in model_card.make_model_card(manifest, "x")
    )


def test_weights_can_be_exported_as_safetensors(command, labeled_run, tmp_path):
    safetensors = pytest.importorskip("safetensors")
    out = tmp_path / "gen.safetensors"
    assert command(app.main, f"export {labeled_run} --out {out}")[0] == 0
    with safetensors.safe_open(out, "numpy") as file:
        variables = unflatten_dict({name: file.get_tensor(name) for name in file.keys()}, sep="/")  # noqa: SIM118
        config = serialization.loads(file.metadata()["config"])
    assert (config.data.path, config.data.dir) == (None, None)
    key = keys.step_key(keys.root_key(0), keys.Purpose.SAMPLE, 0)
    samples = sampling.sample(config, variables, key, 20)
    np.testing.assert_array_equal(samples, sample(labeled_run))
    assert "safe_open" in (tmp_path / "gen.md").read_text()
    status, _, error = command(app.main, f"export {labeled_run} --out {out}")
    assert (status, "--force" in error) == (2, True)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--out gen.onnx", "out must end in .jaxexport or .safetensors, got 'gen.onnx'"),
        ("--out gen.jaxexport --step 3", "step must be one of 5, 10, 12, got 3"),
        ("--out gen.jaxexport --member 1", "is no population"),
    ],
)
def test_bad_input_of_export_is_rejected(
    command, labeled_run, monkeypatch, tmp_path, flags, message
):
    monkeypatch.chdir(tmp_path)
    status, _, error = command(app.main, f"export {labeled_run} {flags}")
    assert (status, error.count("\n")) == (2, 1)
    assert message in error
    assert not list(tmp_path.iterdir())


def test_one_member_of_a_population_can_be_exported(command, trained_run, tmp_path):
    workdir = trained_run("population")
    out = tmp_path / "gen.jaxexport"
    status, _, error = command(app.main, f"export {workdir} --out {out}")
    assert (status, "member must be from 0 to 2" in error) == (2, True)
    assert command(app.main, f"export {workdir} --out {out} --member 1")[0] == 0
    trained = load.load_generator(workdir, member=1)
    key = keys.step_key(keys.root_key(0), keys.Purpose.SAMPLE, 0)
    samples = sampling.sample(trained.config, trained.variables, key, 20)
    np.testing.assert_allclose(sample(out), samples, atol=1e-6)
    assert load.load_generator(out).member == 1


@pytest.mark.parametrize("part", ["variables.npz", "generate.bin", "manifest.json"])
def test_an_exported_file_with_a_damaged_part_is_rejected(exported_file, tmp_path, part):
    path = tmp_path / "bad.jaxexport"
    with zipfile.ZipFile(exported_file) as good, zipfile.ZipFile(path, "w") as bad:
        for name in good.namelist():
            bad.writestr(name, good.read(name) if name != part else b"{}")
    with pytest.raises(UserError, match=r"bad.jaxexport is not a readable exported file: .*"):
        load.load_generator(path)


@pytest.mark.parametrize("position", np.random.default_rng(0).uniform(0, 1, 12))
def test_a_flipped_bit_is_rejected_or_has_no_effect(exported_file, tmp_path, position):
    content = bytearray(exported_file.read_bytes())
    content[int(position * len(content))] ^= 4
    path = tmp_path / "bad.jaxexport"
    path.write_bytes(content)
    try:
        variables = load.load_generator(path).variables
    except UserError:
        return  # rejected with the expected type of error
    expected = load.load_generator(exported_file).variables
    jax.tree.map(np.testing.assert_array_equal, variables, expected)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--num", "0"], "--num must be at least 1, got 0"),
        (["--seed", "-1"], "got -1"),
        (["--out", "none/x.npy"], "got none/x.npy: No such file"),
    ],
)
def test_bad_arguments_of_an_exported_file_are_rejected(
    exported_file, monkeypatch, capsys, flags, message
):
    monkeypatch.chdir(exported_file.parent)
    monkeypatch.setattr(sys, "argv", ["gen.jaxexport", *flags])
    monkeypatch.setattr(standalone, "__file__", str(exported_file / "generator.py"))
    with pytest.raises(SystemExit) as caught:
        standalone.main()
    assert caught.value.code == 2
    assert message in capsys.readouterr().err


def test_an_exported_file_has_no_other_steps_or_members(exported_file):
    for selection in ({"step": 1}, {"member": 0}):
        with pytest.raises(UserError, match="is one generator"):
            load.load_generator(exported_file, **selection)


def initial_generator(config, real=(8, 8, 1), cond=None):
    """Initial generator of a config, as an argument of `write.exported_functions`."""
    example = Batch(np.zeros((1, *real), np.float32), cond)
    variables = jax.jit(lambda: initial_variables(config, example))()
    return generator.TrainedGenerator(config, variables, 0, None, example, None, ())


def initial_variables(config, example):
    return generator_variables(init_state(config, keys.root_key(0), example))


def zero_generator(config, real, cond=None):
    """Generator of a config with variables of zeros, which needs no initialization."""
    example = Batch(np.zeros((1, *real), np.float32), cond)
    shapes = jax.eval_shape(lambda: initial_variables(config, example))
    variables = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)
    return generator.TrainedGenerator(config, variables, 0, None, example, None, ())


def deserialized_functions(trained):
    """Exported functions as (callable, exported), as the standalone reader loads them."""
    blobs = write.exported_functions(trained)
    exported = {name: jax.export.deserialize(bytearray(blob)) for name, blob in blobs.items()}
    return {
        name: (standalone._with_vmap(function), function) for name, function in exported.items()
    }


@pytest.mark.parametrize("name", sorted(set(small_networks.SMALL) - {"unet"}))
def test_every_network_can_be_exported(name):
    """Exports for any batch size and all platforms. `unet` inpaints and is tested below."""
    size = min(small_networks.SMALL[name][3])
    config = small_networks.config(name, size, classes=3)
    spatial_shape = (size,) if name in small_networks.SOUNDS else (size, size)
    config = config.replace(z_dim=getattr(config.gen, "z_dim", config.prior.dim))
    trained = zero_generator(config, (*spatial_shape, 2), np.zeros(1, np.int32))
    function, *inputs = write.generator_function(trained)
    blob = write.export_function(name, function, trained.variables, *inputs)
    exported = jax.export.deserialize(bytearray(blob))
    assert exported.platforms == ("cpu", "cuda", "tpu")
    assert str(exported.out_avals[0].shape[0]) == "n"
    assert exported.has_vjp()


@pytest.mark.parametrize("width", [2, 64])  # CPUs use Winograd convolutions for 64
def test_exported_convolutions_take_any_batch_size(width):
    gen, disc = small_networks.pair("dcgan", 32, 0, width=width)
    config = Config(name="dcgan", gen=gen, disc=disc, steps=1, prior=Prior(dim=5))
    trained = initial_generator(config, (32, 32, 2))
    function, _ = deserialized_functions(trained)["generate"]
    z = jax.random.normal(jax.random.key(1), (3, 5))

    def original(z):
        return gen.apply(trained.variables, z, train=False)

    def exported(z):
        return function(trained.variables, z, None)

    np.testing.assert_allclose(exported(z), original(z), atol=1e-6)
    gradients = [jax.jit(jax.grad(lambda z, f=f: f(z).std()))(z) for f in (original, exported)]
    np.testing.assert_allclose(*gradients, atol=1e-6)


def test_vmap_equals_separate_calls(exported_file):
    generate, z = standalone.load(exported_file), jax.random.normal(jax.random.key(1), (2, 3, 8))
    labels = jnp.arange(3)
    images = jax.vmap(lambda z: generate(z, labels))(z)
    np.testing.assert_allclose(images, [generate(latents, labels) for latents in z], atol=1e-6)
    gradients = jax.vmap(jax.grad(lambda z: generate(z, labels).std()))(z)
    expected = [jax.grad(lambda z: generate(z, labels).std())(latents) for latents in z]
    np.testing.assert_allclose(gradients, expected, atol=1e-6)


def test_stylegan2_exports_its_mapping_and_synthesis():
    gen = stylegan2.Generator(8, 1, channel_max=6, latent=5, w_dim=6, mapping_layers=1, noise=False)
    disc = stylegan2.Discriminator(8, channel_max=6, mapping_layers=1, minibatch_std=0)
    trained = initial_generator(
        Config(name="s", gen=gen, disc=disc, steps=1, prior=Prior(dim=gen.z_dim))
    )
    functions = deserialized_functions(trained)
    z = jax.random.normal(jax.random.key(1), (3, 5))
    w = functions["map"][0](trained.variables, z, None)
    np.testing.assert_allclose(w, latent_space.map_w(gen, trained.variables, z, None), atol=1e-6)
    images = functions["synthesize"][0](trained.variables, w, None)
    np.testing.assert_allclose(
        images, latent_space.synthesize_from_w(gen, trained.variables, w, None), atol=1e-6
    )
    gradient = jax.grad(lambda w: functions["synthesize"][0](trained.variables, w, None).std())(w)
    assert float(jnp.abs(gradient).max()) > 0


def test_inpainting_generators_take_a_dictionary():
    gen, disc = small_networks.pair("unet", 12)
    config = Config(
        name="u", gen=gen, disc=disc, steps=1, prior=Prior(dim=5), masks=Masks(("box",))
    )
    trained = zero_generator(config, (12, 12, 2))
    shapes = jax.tree.map(lambda leaf: leaf.shape, write.dummy_condition(trained))
    assert shapes == {"known": (1, 12, 12, 2), "hole": (1, 12, 12, 1)}
    assert "generate" in write.exported_functions(trained)


def test_a_text_generator_can_be_exported(command, trained_run, tmp_path):
    workdir = trained_run("texts")
    out = tmp_path / "gen.jaxexport"
    assert command(app.main, f"export {workdir} --out {out}")[0] == 0
    for path, name in ((workdir, "run.txt"), (out, "artefact.txt")):
        arguments = f"sample {path} --num-samples 9 --temperature 0.7 --out {tmp_path / name}"
        assert command(app.main, arguments)[0] == 0
    assert (tmp_path / "run.txt").read_text() == (tmp_path / "artefact.txt").read_text()
    generate = standalone.load(out)
    assert generate(generate.noise(4)).dtype == jnp.uint16


class NeedsItsBatch(interface.Generator):
    @nn.compact
    def __call__(self, z, cond=None, *, train):
        return nn.Dense(64)(z).reshape(len(z), 8, 8, 1)


def test_generators_that_cannot_be_exported_are_rejected():
    disc = mlp.Discriminator((8,))
    trained = initial_generator(
        Config(name="odd", gen=NeedsItsBatch(), disc=disc, steps=1, prior=Prior(dim=8))
    )
    with pytest.raises(UserError, match=r"odd cannot be exported: .* .write x.shape\[0\]"):
        write.exported_functions(trained)
    infinite = {"params": {"weight": np.full(3, np.inf)}}
    with pytest.raises(UserError, match="params/weight is not finite: the run has diverged"):
        write.flatten_variables(infinite)
