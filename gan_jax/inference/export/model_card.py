"""The model card of a generator, in Markdown: what it is, what it is worth, how it is used."""

import json
from typing import Any

ARTEFACT = """{commands}
In Python, with `PYTHONPATH={file}`:

```python
import generator

made = generator.load("{file}")
examples = made(made.noise(16, seed=0), {given})
```

It runs on CPU, CUDA and TPU, for any number of examples{gradient}. `{file}` is a zip file;
`generator.py` in it is all the code there is.
"""
COMMANDS = """
```
python {file} --num 16 --seed 0 --out samples.npy      # needs jax, and nothing else
gan-jax sample {file} --num-samples 64 --out samples.{kind}
{invert}```
"""
INVERT = "gan-jax invert {file} PICTURES --out found\n"
WEIGHTS = """
The variables of the network `{gen}` by their paths; with this project:

```python
from flax.traverse_util import unflatten_dict
from safetensors import safe_open

from gan_jax.config import serialization

with safe_open("{file}", "numpy") as file:
    variables = unflatten_dict({{name: file.get_tensor(name) for name in file.keys()}}, sep="/")
    config = serialization.loads(file.metadata()["config"])
examples = config.gen.apply(variables, z, {cond}, train=False)
```
"""


def make_model_card(manifest: dict[str, Any], file: str) -> str:
    """Of what `file` holds, by its manifest."""
    config, versions = manifest["config"], manifest["versions"]
    gen = config["gen"]["_type"].removeprefix("networks.")
    how = _artefact(manifest) if "sha256" in manifest else WEIGHTS
    cond = "cond" if manifest["cond"] else "labels" if manifest["classes"] else "None"
    z, output = manifest["z"], manifest["output"]
    of = "" if manifest["member"] is None else f", member {manifest['member']}"
    takes = f"`z` [n, {z['dim']}] of law {z['law']}"
    takes += f", labels int32 [n] from 0 to {manifest['classes'] - 1}" * bool(manifest["classes"])
    takes += f", and {json.dumps(manifest['cond'])}" * bool(manifest["cond"])
    takes += ", a temperature float32" * bool(manifest["vocabulary"])
    facts = {
        "network": f"`{gen}`, {manifest['parameters']:,} parameters",
        "takes": takes,
        "gives": f"{output['dtype']} {['n', *output['shape']]}, {output['range']}".replace("'", ""),
        "trained on": f"`{config['data']['name']}` {config['data']['split']}, "
        f"{versions['data']['examples']} examples, fingerprint `{versions['data']['fingerprint']}`",
        "training": f"loss {config['objective']['loss']}, step {manifest['step']}{of}, "
        f"seed {config['seed']}",
        "weights": "of the moving average" if manifest["average"] else "of the last step",
        "state": f"sha256 `{manifest['digest']}`",
        "made with": f"gan_jax {versions['gan_jax']}, commit `{versions['git_commit']}`, "
        f"jax {versions['packages']['jax']}",
    }
    lines = [
        f"# {manifest['name']}",
        "",
        "A generator trained by gan_jax.",
        "",
        "| | |",
        "|---|---|",
    ]
    lines += [f"| {name} | {fact} |" for name, fact in facts.items()]
    lines += ["", "## Use", how.format(file=file, gen=gen, cond=cond), "## Scores", "", ""]
    return "\n".join(lines) + score_table(manifest["scores"]) + LIMITS


def _artefact(manifest: dict[str, Any]) -> str:
    """How an artefact is used: what it can do depends on what it makes, and from what."""
    text, heard = bool(manifest["vocabulary"]), bool(manifest["sound"])
    pictures = not (text or heard) and len(manifest["output"]["shape"]) == 3
    kind = "txt" if text else "wav" if heard else "png"
    commands = COMMANDS.replace("{kind}", kind).replace("{invert}", INVERT if pictures else "")
    given = "cond" if manifest["cond"] else "made.labels(16)"
    return (
        ARTEFACT.replace("{commands}", "" if manifest["cond"] else commands)
        .replace("{given}", given)
        .replace("{gradient}", "" if text else ", and has the gradient by `z`")
    )


LIMITS = """
## Limits

It makes examples like those that it was trained on, their gaps and faults included, and may come
near to single ones of them. The licence is up to who trained it, and to the licence of the data.
"""


def score_table(cards: list[dict[str, Any]]) -> str:
    """A table of metric cards, or that there are none."""
    if not cards:
        return "None: it has not been evaluated (`gan-jax evaluate RUN`).\n"
    lines = ["| metric | features | samples | reals | value |", "|---|---|---|---|---|"]
    for one in cards:
        values = ", ".join("not finite" if x is None else f"{x:.4g}" for x in one["values"])
        reals = f"{one['n_real']} of {one['real']}"
        lines.append(
            f"| {one['metric']} | {one['features']} | {one['n_fake']} | {reals} | {values} |"
        )
    return "\n".join(lines) + "\n"
