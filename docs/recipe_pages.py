"""A page for each recipe: its docstring, commands, results on record, presets, and metrics."""

import re
from pathlib import Path

from docs import logged_metrics, presets, records
from docs.configuration import escape
from gan_jax.cli import recipes
from gan_jax.cli.recipes import Recipe

ROOT = Path(__file__).parent.parent
HEADER = re.compile(r"^(Data|Command|Result) {2,}(.*(?:\n {5,}.*)*)", re.MULTILINE)
DETAILS = re.compile(r"^Implementation details:\n(.*?)(?=^\S|\Z)", re.MULTILINE | re.DOTALL)


def pages() -> dict[str, str]:
    """Return the pages by file name: index.md, and one for each recipe."""
    names = recipes.recipe_names()
    return {"index.md": _index(), **{f"{name}.md": _page(recipes.find(name)) for name in names}}


def _index() -> str:
    """Return the overview table."""
    rows = recipes.list_recipes()
    lines = [
        "# Recipes\n",
        "A recipe is a config with a docstring: one file under `experiments/`. Defaults are the",
        "paper's hyper-parameters; `--preset small` is a version for two CPU cores. Results are those",
        "on record, see [results](../results/index.md).\n",
        "| recipe | content | data | presets | on record | training | result |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        title = escape(recipes.find(row.name).docstring.partition("\n")[0])
        presets_of = ", ".join(("full", *row.presets))
        cells = (title, row.data, presets_of, row.recorded, row.cost, escape(row.result))
        lines.append(f"| [{row.name}]({row.name}.md) | {' | '.join(cells)} |")
    tree = ["```{toctree}", ":hidden:", "", *(row.name for row in rows), "```", ""]
    return "\n".join([*lines, "", *tree])


def _page(recipe: Recipe) -> str:
    """Return the page of one recipe."""
    first, _, body = recipe.docstring.partition("\n")
    header = dict(HEADER.findall(body))
    details = DETAILS.search(body)
    prose = DETAILS.sub("", HEADER.sub("", body))
    parts = [f"# {recipe.name}\n", f"{escape(first)}\n"]
    if "Data" in header:
        parts.append(f"Data: {escape(' '.join(header['Data'].split()))}.\n".replace("..", "."))
    parts += [_commands(recipe), f"{_prose(prose)}\n", records.section(recipe)]
    if details:
        parts += ["## Implementation details\n", _prose(details[1]), ""]
    parts += [presets.section(recipe), _metrics(recipe)]
    return "\n".join(part for part in parts if part)


def _commands(recipe: Recipe) -> str:
    """Return the commands that train the presets."""
    lines = [f"gan-jax train {recipe.name}"]
    lines += [f"gan-jax train {recipe.name} --preset {name}" for name in [*recipe.presets][1:]]
    path = recipe.path.name
    return "\n".join(
        [
            "```text",
            *lines,
            "```",
            "",
            f"Source: {{download}}`experiments/{path} <../../experiments/{path}>`.\n",
        ]
    )


def _prose(text: str) -> str:
    """Return paragraphs and lists of a docstring as Markdown."""
    lines = [line.rstrip() for line in text.strip("\n").splitlines()]
    indent = min((len(line) - len(line.lstrip()) for line in lines if line), default=0)
    return escape("\n".join(line[indent:] for line in lines).strip())


def _metrics(recipe: Recipe) -> str:
    """Return the table of the metrics that the recipe logs."""
    meanings = logged_metrics.meanings()
    lines = ["## Logged metrics\n", "| metric | meaning |", "|---|---|"]
    for name in logged_metrics.names_of(recipe.config):
        lines.append(f"| [{name}](../reference/logged-metrics.md#{name}) | {meanings[name]} |")
    return "\n".join([*lines, ""])
