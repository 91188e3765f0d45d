"""A page for each recipe: its docstring, commands, results on record, presets, and metrics."""

import re
import textwrap

from docs import logged_metrics, presets, records
from docs.configuration import escape
from gan_jax.cli import recipes
from gan_jax.cli.recipes import Recipe


def pages() -> dict[str, str]:
    """Return the pages by file name: index.md, and one for each recipe."""
    names = recipes.recipe_names()
    return {
        "index.md": _index(),
        **{f"{name}.md": _page(recipes.load_recipe(name)) for name in names},
    }


def _index() -> str:
    """Return the overview table."""
    rows = recipes.list_recipes()
    lines = [
        "# Recipes\n",
        "A recipe is a config with a docstring: one file under `experiments/`. Defaults are the",
        "paper's hyper-parameters; `--preset small` is a version for two CPU cores. Results are",
        "those on record, see [results](../results/index.md).\n",
        "| recipe | content | data | presets | on record | training | result |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        title = escape(recipes.load_recipe(row.name).docstring.partition("\n")[0])
        presets_of = ", ".join(("full", *row.presets))
        cells = (title, row.data, presets_of, row.recorded, row.cost, escape(row.result))
        lines.append(f"| [{row.name}]({row.name}.md) | {' | '.join(cells)} |")
    tree = ["```{toctree}", ":hidden:", "", *(row.name for row in rows), "```", ""]
    return "\n".join([*lines, "", *tree])


def _page(recipe: Recipe) -> str:
    """Return the page of one recipe."""
    first, _, body = recipe.docstring.partition("\n")
    introduction, _, details = body.partition("\nImplementation details:\n")
    path = f"experiments/{recipe.path.name}"
    parts = [
        f"# {recipe.name}\n",
        f"{escape(first)}\n",
        f"{prose(introduction)}\n",
        f"Source: {{download}}`{path} <../../{path}>`. Flags: see the\n"
        "[configuration](../reference/configuration.md).\n",
        records.section(recipe),
    ]
    if details:
        parts += ["## Implementation details\n", f"{prose(details)}\n"]
    return "\n".join([*parts, presets.section(recipe), _metrics(recipe)])


def prose(text: str) -> str:
    """Return a docstring as Markdown: commands, which are indented, become code blocks."""
    blocks = []
    for block in re.split(r"\n{2,}", text.strip("\n")):
        if all(line.startswith("    ") for line in block.splitlines()):
            blocks.append(f"```text\n{textwrap.dedent(block)}\n```")
        else:
            blocks.append(escape(block))
    return "\n\n".join(blocks)


def _metrics(recipe: Recipe) -> str:
    """Return the table of the metrics that the recipe logs."""
    meanings = logged_metrics.meanings()
    lines = ["## Logged metrics\n", "| metric | meaning |", "|---|---|"]
    for name in logged_metrics.names_of(recipe.config):
        lines.append(f"| [{name}](../reference/logged-metrics.md#{name}) | {meanings[name]} |")
    return "\n".join([*lines, ""])
