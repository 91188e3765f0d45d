"""Exported generators: the run's own examples without the run, in a process that has jax alone."""

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

# Of what is installed, only jax and what it needs can be imported; flatbuffers is the artefact's.
BARE = """
import importlib.metadata, sys
needed = {"jax", "jaxlib", "numpy", "ml_dtypes", "opt_einsum", "scipy", "flatbuffers"}
refused = set(importlib.metadata.packages_distributions()) - needed | {"gan_jax"}
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in refused:
            raise ModuleNotFoundError(f"{name} is not here")
sys.meta_path.insert(0, Block())
sys.path.insert(0, sys.argv[1])
import generator, jax, numpy
import flatbuffers
assert flatbuffers.__file__.startswith(sys.argv[1])
assert {"flax", "optax", "PIL"} <= refused
made = generator.load(sys.argv[1])
z = made.noise(5, seed=3, first=2)
slope = jax.grad(lambda z: (made(z, made.labels(5, first=2)) ** 2).sum())(z)
numpy.savez(sys.argv[2], z=z, made=made(z, made.labels(5, first=2)), slope=slope)
"""


@pytest.fixture(scope="module")
def labelled(trained_run, tmp_path_factory):
    """A run of a class-conditional generator of digits, with checkpoints of 5, 10 and 12."""
    return shutil.copytree(trained_run("labels"), tmp_path_factory.mktemp("runs") / "small")


@pytest.fixture(scope="module")
def artefact(labelled, tmp_path_factory):
    """Its generator."""
    path = tmp_path_factory.mktemp("out") / "gen.jaxexport"
    found = load.load_generator(labelled)
    write.write_artifact(path, found, described(labelled))
    return path


def described(workdir):
    from gan_jax.inference.export import manifest

    return manifest.make_manifest(workdir, load.load_generator(workdir))


def sample(path, n=20, seed=0):
    """Samples of a run folder or an artefact."""
    found = load.load_generator(path)
    key = keys.step_key(keys.root_key(seed), keys.Purpose.SAMPLE, 0)
    return sampling.sample(found.config, found.variables, key, n)


def test_the_command_writes_the_run_s_pictures(command, labelled, tmp_path):
    out = tmp_path / "deep" / "gen.jaxexport"
    line = f"export {labelled} --out {out}"
    status, said, _ = command(app.main, line)
    assert (status, "the generator of small, step 12" in said) == (0, True)
    np.testing.assert_allclose(sample(out), sample(labelled), atol=1e-6)
    before = out.read_bytes()
    status, _, error = command(app.main, line)
    assert (status, error.count("\n")) == (2, 1)
    assert "--force" in error
    assert out.read_bytes() == before


def test_sample_and_augment_take_an_artefact(command, labelled, artefact, tmp_path):
    for which, name in ((labelled, "run"), (artefact, "artefact")):
        out = tmp_path / name
        line = f"sample {which} --num-samples 20 --seed 3 --out {out.with_suffix('.png')}"
        assert command(app.main, line)[0] == 0
        line = f"synthesize {which} --per-class 2 --out {out}"
        assert command(app.main, line)[0] == 0
    pictures = [(tmp_path / f"{name}.png").read_bytes() for name in ("run", "artefact")]
    assert pictures[0] == pictures[1]
    sets = [np.load(tmp_path / name / "samples.npz")["images"] for name in ("run", "artefact")]
    np.testing.assert_array_equal(*sets)


def test_inversion_runs_from_the_artefact(labelled, artefact):
    """The search takes the same way through the exported gradients as through the run's own."""
    found = []
    for path in (labelled, artefact):
        opened = load.load_generator(path)
        space = latent_space.make_latent_space(opened.config, opened.variables)
        target = (sample(labelled, 6, seed=5) + 0.1).clip(0, 1)
        search = Search(steps=20, samples=30, restarts=2)
        label = np.arange(6, dtype=np.int32)
        found.append(invert(space, target, jax.random.key(0), search, cond=label))
    np.testing.assert_allclose(found[0].errors, found[1].errors, rtol=1e-4)
    # Twenty steps of Adam, which turns rounding errors of small gradients into steps.
    np.testing.assert_allclose(found[0].latents, found[1].latents, atol=2e-3)


def test_invert_takes_an_artefact(command, artefact, tmp_path):
    flags = "--split test --num-images 4 --iterations 3 --samples 20 --restarts 2"
    status, said, _ = command(app.main, f"invert {artefact} {flags} --out {tmp_path / 'out'}")
    assert (status, "4 images, step 12: mean error 0." in said) == (0, True)
    line = f"interpolate {artefact} --num-pairs 2 --columns 3 --out {tmp_path / 'ways.png'}"
    assert command(app.main, line)[0] == 0


def test_a_process_with_jax_alone(labelled, artefact, tmp_path):
    words = [sys.executable, "-I", "-c", BARE, artefact, tmp_path / "made.npz"]
    subprocess.run(words, check=True)
    opened = load.load_generator(labelled)
    labels = jnp.arange(2, 7)

    def ours(z):
        return opened.config.gen.apply(opened.variables, z, labels, train=False)

    with np.load(tmp_path / "made.npz") as found:
        np.testing.assert_array_equal(found["made"].shape, (5, 8, 8, 1))
        np.testing.assert_allclose(found["made"], sample(labelled, 7, seed=3)[2:], atol=1e-6)
        slope = jax.grad(lambda z: (ours(z) ** 2).sum())(found["z"])
        np.testing.assert_allclose(found["slope"], slope, atol=1e-5)


def test_the_artefact_runs_itself(labelled, artefact, tmp_path):
    words = [sys.executable, "-I", artefact, "--num", "4", "--out", tmp_path / "made.npy"]
    said = subprocess.run(words, check=True, capture_output=True, text=True).stdout
    assert "4 samples of small, seed 0" in said
    np.testing.assert_allclose(np.load(tmp_path / "made.npy"), sample(labelled, 4), atol=1e-6)


def test_what_the_manifest_says(labelled, artefact):
    with zipfile.ZipFile(artefact) as file:
        found = json.loads(file.read("manifest.json"))
        card = file.read("README.md").decode()
    assert (found["step"], found["classes"], found["z"]) == (12, 10, {"dim": 8, "law": "normal"})
    assert found["output"] == {"shape": [8, 8, 1], "dtype": "float32", "range": "pixels in [0, 1]"}
    assert serialization.loads(json.dumps(found["config"])) == load.load_generator(labelled).config
    digest = (labelled / "digests.jsonl").read_text().splitlines()[-1]
    assert found["digest"] == json.loads(digest)["sha256"]
    count = sum(
        leaf.size for leaf in jax.tree.leaves(load.load_generator(labelled).variables["params"])
    )
    assert found["parameters"] == count
    assert f"{count:,} parameters" in card
    assert "labels int32 [n] from 0 to 9" in card
    assert "Not evaluated" in card
    assert "invert gen.jaxexport" in card


def test_scores_are_on_the_card(labelled):
    path, values = (
        labelled / "scores.json",
        {"values": [1.5], "seeds": [0], "mean": 1.5, "sd": None},
    )
    one = {"metric": "frechet", "features": "digits-classifier", "n_fake": 9, "n_real": 8}
    cards = [{**one, **values, "real": "digits train", "step": step} for step in (12, 13)]
    path.write_text(json.dumps({"versions": {}, "cards": cards}))
    found = described(labelled)
    path.unlink()
    assert [one["step"] for one in found["scores"]] == [12]
    from gan_jax.inference.export import model_card

    assert (
        "| frechet | digits-classifier | 9 | 8 of digits train | 1.5 |"
        in model_card.make_model_card(found, "x")
    )


def test_weights_as_safetensors(command, labelled, tmp_path):
    safetensors = pytest.importorskip("safetensors")
    out = tmp_path / "gen.safetensors"
    assert command(app.main, f"export {labelled} --out {out}")[0] == 0
    with safetensors.safe_open(out, "numpy") as file:
        variables = unflatten_dict({name: file.get_tensor(name) for name in file.keys()}, sep="/")  # noqa: SIM118
        config = serialization.loads(file.metadata()["config"])
    assert (config.data.path, config.data.dir) == (None, None)
    key = keys.step_key(keys.root_key(0), keys.Purpose.SAMPLE, 0)
    found = sampling.sample(config, variables, key, 20)
    np.testing.assert_array_equal(found, sample(labelled))
    assert "safe_open" in (tmp_path / "gen.md").read_text()
    status, _, error = command(app.main, f"export {labelled} --out {out}")
    assert (status, "--force" in error) == (2, True)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("--out gen.onnx", "out must end in .jaxexport or .safetensors, got 'gen.onnx'"),
        ("--out gen.jaxexport --step 3", "step must be one of 5, 10, 12, got 3"),
        ("--out gen.jaxexport --member 1", "is no population"),
    ],
)
def test_export_with_bad_input(command, labelled, monkeypatch, tmp_path, words, says):
    monkeypatch.chdir(tmp_path)
    status, _, error = command(app.main, f"export {labelled} {words}")
    assert (status, error.count("\n")) == (2, 1)
    assert says in error
    assert not list(tmp_path.iterdir())


def test_of_a_population_one_member(command, trained_run, tmp_path):
    workdir = trained_run("population")
    out = tmp_path / "gen.jaxexport"
    status, _, error = command(app.main, f"export {workdir} --out {out}")
    assert (status, "member must be from 0 to 2" in error) == (2, True)
    assert command(app.main, f"export {workdir} --out {out} --member 1")[0] == 0
    found = load.load_generator(workdir, member=1)
    key = keys.step_key(keys.root_key(0), keys.Purpose.SAMPLE, 0)
    made = sampling.sample(found.config, found.variables, key, 20)
    np.testing.assert_allclose(sample(out), made, atol=1e-6)
    assert load.load_generator(out).member == 1


@pytest.mark.parametrize("part", ["variables.npz", "generate.bin", "manifest.json"])
def test_a_damaged_artefact_is_named(artefact, tmp_path, part):
    path = tmp_path / "bad.jaxexport"
    with zipfile.ZipFile(artefact) as good, zipfile.ZipFile(path, "w") as bad:
        for name in good.namelist():
            bad.writestr(name, good.read(name) if name != part else b"{}")
    with pytest.raises(UserError, match=r"bad.jaxexport is not a readable exported file: .*"):
        load.load_generator(path)


@pytest.mark.parametrize("where", np.random.default_rng(0).uniform(0, 1, 12))
def test_a_flipped_bit_of_an_artefact_is_named_or_does_not_matter(artefact, tmp_path, where):
    found = bytearray(artefact.read_bytes())
    found[int(where * len(found))] ^= 4
    path = tmp_path / "bad.jaxexport"
    path.write_bytes(found)
    try:
        variables = load.load_generator(path).variables
    except UserError:
        return  # named, and by no other error
    expected = load.load_generator(artefact).variables
    jax.tree.map(np.testing.assert_array_equal, variables, expected)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--num", "0"], "--num must be at least 1, got 0"),
        (["--seed", "-1"], "got -1"),
        (["--out", "none/x.npy"], "got none/x.npy: No such file"),
    ],
)
def test_mistakes_at_the_artefact_itself(artefact, monkeypatch, capsys, words, says):
    monkeypatch.chdir(artefact.parent)
    monkeypatch.setattr(sys, "argv", ["gen.jaxexport", *words])
    monkeypatch.setattr(standalone, "__file__", str(artefact / "generator.py"))
    with pytest.raises(SystemExit) as ended:
        standalone.main()
    assert ended.value.code == 2
    assert says in capsys.readouterr().err


def test_an_artefact_is_one_generator(artefact):
    for asked in ({"step": 1}, {"member": 0}):
        with pytest.raises(UserError, match="is one generator"):
            load.load_generator(artefact, **asked)


def of(config, real=(8, 8, 1), cond=None):
    """What `write.exported_functions` takes, of the config's generator as it starts."""
    example = Batch(np.zeros((1, *real), np.float32), cond)
    variables = jax.jit(lambda: starting(config, example))()
    return generator.TrainedGenerator(config, variables, 0, None, example, None, ())


def starting(config, example):
    return generator_variables(init_state(config, keys.root_key(0), example))


def shapes_of(config, real, cond=None):
    """The same, of zeros."""
    example = Batch(np.zeros((1, *real), np.float32), cond)
    shapes = jax.eval_shape(lambda: starting(config, example))
    variables = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)
    return generator.TrainedGenerator(config, variables, 0, None, example, None, ())


def deserialized(found):
    """Its functions, as the artefact's reader has them."""
    blobs = write.exported_functions(found)
    exported = {name: jax.export.deserialize(bytearray(blob)) for name, blob in blobs.items()}
    return {name: (standalone._with_vmap(one), one) for name, one in exported.items()}


@pytest.mark.parametrize("name", sorted(set(small_networks.SMALL) - {"unet"}))
def test_every_network_can_be_exported(name):
    """For any batch, and for all platforms. `unet` repairs: below."""
    size = min(small_networks.SMALL[name][3])
    config = small_networks.config(name, size, classes=3)
    places = (size,) if name in small_networks.SOUNDS else (size, size)
    config = config.replace(z_dim=getattr(config.gen, "z_dim", config.prior.dim))
    found = shapes_of(config, (*places, 2), np.zeros(1, np.int32))
    function, *inputs = write.generator_function(found)
    blob = write.export_function(name, function, found.variables, *inputs)
    exported = jax.export.deserialize(bytearray(blob))
    assert exported.platforms == ("cpu", "cuda", "tpu")
    assert str(exported.out_avals[0].shape[0]) == "n"
    assert exported.has_vjp()


@pytest.mark.parametrize("width", [2, 64])  # 64: the convolutions that CPUs compute Winograd's way
def test_convolutions_of_any_batch(width):
    gen, disc = small_networks.pair("dcgan", 32, 0, width=width)
    config = Config(name="dcgan", gen=gen, disc=disc, steps=1, prior=Prior(dim=5))
    found = of(config, (32, 32, 2))
    function, _ = deserialized(found)["generate"]
    z = jax.random.normal(jax.random.key(1), (3, 5))

    def ours(z):
        return gen.apply(found.variables, z, train=False)

    def theirs(z):
        return function(found.variables, z, None)

    np.testing.assert_allclose(theirs(z), ours(z), atol=1e-6)
    slopes = [jax.jit(jax.grad(lambda z, f=f: f(z).std()))(z) for f in (ours, theirs)]
    np.testing.assert_allclose(*slopes, atol=1e-6)


def test_vmap_is_more_examples(artefact):
    made, z = standalone.load(artefact), jax.random.normal(jax.random.key(1), (2, 3, 8))
    labels = jnp.arange(3)
    whole = jax.vmap(lambda z: made(z, labels))(z)
    np.testing.assert_allclose(whole, [made(one, labels) for one in z], atol=1e-6)
    slope = jax.vmap(jax.grad(lambda z: made(z, labels).std()))(z)
    each = [jax.grad(lambda z: made(z, labels).std())(one) for one in z]
    np.testing.assert_allclose(slope, each, atol=1e-6)


def test_stylegan2_brings_its_w():
    gen = stylegan2.Generator(8, 1, channel_max=6, latent=5, w_dim=6, mapping_layers=1, noise=False)
    disc = stylegan2.Discriminator(8, channel_max=6, mapping_layers=1, minibatch_std=0)
    found = of(Config(name="s", gen=gen, disc=disc, steps=1, prior=Prior(dim=gen.z_dim)))
    functions = deserialized(found)
    z = jax.random.normal(jax.random.key(1), (3, 5))
    w = functions["map"][0](found.variables, z, None)
    np.testing.assert_allclose(w, latent_space.map_w(gen, found.variables, z, None), atol=1e-6)
    made = functions["synthesize"][0](found.variables, w, None)
    np.testing.assert_allclose(
        made, latent_space.synthesize_from_w(gen, found.variables, w, None), atol=1e-6
    )
    slope = jax.grad(lambda w: functions["synthesize"][0](found.variables, w, None).std())(w)
    assert float(jnp.abs(slope).max()) > 0


def test_repairers_take_a_dictionary():
    gen, disc = small_networks.pair("unet", 12)
    config = Config(
        name="u", gen=gen, disc=disc, steps=1, prior=Prior(dim=5), masks=Masks(("box",))
    )
    found = shapes_of(config, (12, 12, 2))
    shapes = jax.tree.map(lambda leaf: leaf.shape, write.dummy_condition(found))
    assert shapes == {"known": (1, 12, 12, 2), "hole": (1, 12, 12, 1)}
    assert "generate" in write.exported_functions(found)


def test_a_text_run(command, trained_run, tmp_path):
    workdir = trained_run("texts")
    out = tmp_path / "gen.jaxexport"
    assert command(app.main, f"export {workdir} --out {out}")[0] == 0
    for path, name in ((workdir, "run.txt"), (out, "artefact.txt")):
        line = f"sample {path} --num-samples 9 --temperature 0.7 --out {tmp_path / name}"
        assert command(app.main, line)[0] == 0
    assert (tmp_path / "run.txt").read_text() == (tmp_path / "artefact.txt").read_text()
    made = standalone.load(out)
    assert made(made.noise(4)).dtype == jnp.uint16


class NeedsItsBatch(interface.Generator):
    @nn.compact
    def __call__(self, z, cond=None, *, train):
        return nn.Dense(64)(z).reshape(len(z), 8, 8, 1)


def test_what_cannot_be_exported_says_why():
    disc = mlp.Discriminator((8,))
    found = of(Config(name="odd", gen=NeedsItsBatch(), disc=disc, steps=1, prior=Prior(dim=8)))
    with pytest.raises(UserError, match=r"odd cannot be exported: .* .write x.shape\[0\]"):
        write.exported_functions(found)
    infinite = {"params": {"weight": np.full(3, np.inf)}}
    with pytest.raises(UserError, match="params/weight is not finite: the run has diverged"):
        write.flatten_variables(infinite)
