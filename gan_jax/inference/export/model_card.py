"""Model card of an exported generator, in Markdown: facts, usage and scores."""

import json
from typing import Any

ARTIFACT = """{commands}
In Python, with `PYTHONPATH={file}`:

```python
import generator

gen = generator.load("{file}")
samples = gen(gen.noise(16, seed=0), {cond})
```

It runs on CPU, CUDA and TPU, for any number of examples{gradient}. `{file}` is a zip file;
`generator.py` in it is all of its code.
"""
COMMANDS = """
```
python {file} --num 16 --seed 0 --out samples.npy      # needs only jax
gan-jax sample {file} --num-samples 64 --out samples.{kind}
{invert}```
"""
INVERT = "gan-jax invert {file} IMAGES --out inversion\n"
WEIGHTS = """
The file holds the variables of the network `{gen}` by path. To sample with gan_jax:

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
    """Format the model card of an exported file.

    Args:
        manifest: Manifest of the generator, from `make_manifest`.
        file: Name of the exported file.

    Returns:
        The model card, in Markdown.
    """
    config, versions = manifest["config"], manifest["versions"]
    gen = config["gen"]["_type"].removeprefix("networks.")
    usage = _artifact_usage(manifest) if "sha256" in manifest else WEIGHTS
    cond = "cond" if manifest["cond"] else "labels" if manifest["classes"] else "None"
    z, output = manifest["z"], manifest["output"]
    member = "" if manifest["member"] is None else f", member {manifest['member']}"
    inputs = f"`z` [n, {z['dim']}], distribution {z['law']}"
    inputs += f", labels int32 [n] from 0 to {manifest['classes'] - 1}" * bool(manifest["classes"])
    inputs += f", and {json.dumps(manifest['cond'])}" * bool(manifest["cond"])
    inputs += ", a temperature float32" * bool(manifest["vocabulary"])
    facts = {
        "network": f"`{gen}`, {manifest['parameters']:,} parameters",
        "inputs": inputs,
        "output": f"{output['dtype']} {['n', *output['shape']]}, {output['range']}".replace(
            "'", ""
        ),
        "trained on": f"`{config['data']['name']}` {config['data']['split']}, "
        f"{versions['data']['examples']} examples, fingerprint `{versions['data']['fingerprint']}`",
        "training": f"loss {config['objective']['loss']}, step {manifest['step']}{member}, "
        f"seed {config['seed']}",
        "weights": "moving average" if manifest["average"] else "last step",
        "state": f"sha256 `{manifest['digest']}`",
        "software": f"gan_jax {versions['gan_jax']}, commit `{versions['git_commit']}`, "
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
    lines += ["", "## Use", usage.format(file=file, gen=gen, cond=cond), "## Scores", "", ""]
    return "\n".join(lines) + score_table(manifest["scores"]) + LIMITS


def _artifact_usage(manifest: dict[str, Any]) -> str:
    is_text, is_audio = bool(manifest["vocabulary"]), bool(manifest["sound"])
    is_image = not (is_text or is_audio) and len(manifest["output"]["shape"]) == 3
    kind = "txt" if is_text else "wav" if is_audio else "png"
    commands = COMMANDS.replace("{kind}", kind).replace("{invert}", INVERT if is_image else "")
    cond = "cond" if manifest["cond"] else "gen.labels(16)"
    return (
        ARTIFACT.replace("{commands}", "" if manifest["cond"] else commands)
        .replace("{cond}", cond)
        .replace("{gradient}", "" if is_text else ", and is differentiable with respect to `z`")
    )


LIMITS = """
## Limits

The generator reproduces the gaps and errors of its training data, and may produce near copies of
single examples. Its license depends on who trained it and on the license of the data.
"""


def score_table(cards: list[dict[str, Any]]) -> str:
    """Format metric cards as a Markdown table, or a sentence if there are none.

    Example:
        >>> print(score_table([]), end="")
        Not evaluated (see `gan-jax evaluate RUN`).
    """
    if not cards:
        return "Not evaluated (see `gan-jax evaluate RUN`).\n"
    lines = ["| metric | features | samples | reals | value |", "|---|---|---|---|---|"]
    for card in cards:
        values = ", ".join("not finite" if x is None else f"{x:.4g}" for x in card["values"])
        reals = f"{card['n_real']} of {card['real']}"
        lines.append(
            f"| {card['metric']} | {card['features']} | {card['n_fake']} | {reals} | {values} |"
        )
    return "\n".join(lines) + "\n"
