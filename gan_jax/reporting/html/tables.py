"""The tables and cards of a page, as HTML."""

import html
from collections.abc import Sequence
from typing import Any

from gan_jax.runs.compare import flatten
from gan_jax.runs.score_card import format_number

Run = dict[str, Any]


def escape(text: Any) -> str:
    """Any text, as HTML shows it."""
    return html.escape(str(text), quote=False)


def table(head: Sequence[Any], rows: Sequence[Sequence[Any]], label: str, marked=()) -> str:
    """Rows of values, the first of each its heading; those whose heading is `marked` stand out."""
    top = "".join(f'<th scope="col">{escape(name)}</th>' for name in head)
    lines = []
    for first, *rest in rows:
        style = ' class="differs"' if first in marked else ""
        cells = "".join(f"<td{style}>{escape(value)}</td>" for value in rest)
        lines.append(f'<tr><th scope="row">{escape(first)}</th>{cells}</tr>')
    return (
        f'<div class="wide" role="region" tabindex="0" aria-label="{html.escape(label)}"><table>'
        f"<thead><tr>{top}</tr></thead><tbody>{''.join(lines)}</tbody></table></div>"
    )


def summary_table(runs: Sequence[Run]) -> str:
    """A line a run: how far it is, of how many members, how long it took and where."""
    rows = []
    for run in runs:
        seconds = sum(one.get("train_seconds", 0) for one in run["launches"])
        device = run["versions"].get("device", {})
        where = f"{device.get('count', '?')} x {device.get('kind', '?')}"
        done = f"{run['step']} of {run['steps']}"
        rows.append([run["title"], done, run["members"], f"{seconds:.0f} s", where, run["folder"]])
    return table(["run", "steps", "members", "training", "device", "folder"], rows, "Runs")


def curve_table(panels: Sequence[dict[str, Any]]) -> str:
    """First, last, least and most of each curve, for those who do not see it."""
    rows = []
    for panel in panels:
        for line in panel["lines"]:
            mean, spread = line["mean"], line.get("last_sd")
            last = format_number(mean[-1]) + (
                f" ± {format_number(spread)}" if spread is not None else ""
            )
            ends = [
                format_number(mean[0]),
                last,
                format_number(min(line["low"])),
                format_number(max(line["high"])),
            ]
            rows.append([line["label"], panel["title"], *ends])
    if not rows:
        return "<p>No rows of metrics yet.</p>"
    shown = table(["curve", "diagram", "first", "last", "least", "most"], rows, "Curves in numbers")
    return f"<details><summary>The curves in numbers</summary>{shown}</details>"


def score_cards(runs: Sequence[Run]) -> str:
    """A card a metric of each run's latest scored step; of several runs a table beside."""
    parts, latest = [], []
    for run in runs:
        steps = [one["step"] for one in run["cards"] if one["step"] is not None]
        cards = [one for one in run["cards"] if one["step"] == max(steps, default=None)]
        latest.append({one["metric"]: one for one in cards})
        heading = f"<h3>{escape(run['title'])}</h3>" if len(runs) > 1 else ""
        if not cards:
            said = f"Not evaluated: gan-jax evaluate {run['folder']}"
            parts.append(f"{heading}<p>{escape(said)}</p>")
            continue
        parts.append(f'{heading}<div class="cards">{"".join(map(_card, cards))}</div>')
    names = list(dict.fromkeys(name for one in latest for name in one))
    if len(runs) > 1 and names:
        each = [{name: _value(one) for name, one in cards.items()} for cards in latest]
        rows = [[name, *(values.get(name, "") for values in each)] for name in names]
        head = ["metric", *(run["title"] for run in runs)]
        parts.insert(0, table(head, rows, "Scores of the runs"))
    return "\n".join(parts)


def _value(card: dict[str, Any]) -> str:
    """Mean and standard deviation over the members, or the standard error of one."""
    if card["mean"] is None:
        return "not finite"
    found, errors = format_number(card["mean"]), card.get("standard_error")
    if card["sd"] is not None:
        return f"{found} ± {format_number(card['sd'])}"
    return f"{found} (se {format_number(errors[0])})" if errors and errors[0] is not None else found


def _card(card: dict[str, Any]) -> str:
    against = f" against {card['n_real']} of {card['real']}" if card["n_real"] else ""
    lines = [f"{card['n_fake']} samples{against}, {card['features']}"]
    lines.append(f"step {card['step']}, weights {card['weights']}, seeds {_listed(card['seeds'])}")
    if card.get("expected") is not None:
        lines.append(f"of the data's own law: {format_number(card['expected'])}")
    notes = "".join(f'<p class="note">{escape(line)}</p>' for line in lines)
    return (
        f'<article class="card"><h3>{escape(card["metric"])}</h3>'
        f'<p class="value">{escape(_value(card))}</p>{notes}</article>'
    )


def _listed(seeds: Sequence[int]) -> str:
    return ", ".join(map(str, seeds[:8])) + (", ..." if len(seeds) > 8 else "")


def config_table(runs: Sequence[Run]) -> str:
    """Every field by its dotted name; of several runs those that differ first, and marked."""
    return _side_by_side(runs, [dict(flatten(run["config"])) for run in runs], "Config")


def version_table(runs: Sequence[Run]) -> str:
    """Packages, commit, device and data likewise; and the commands that the runs were."""
    found = [dict(flatten(run["versions"])) for run in runs]
    for run, fields in zip(runs, found, strict=True):
        commands = [one.get("command", "") for one in run["launches"]]
        fields["command"] = "; ".join(dict.fromkeys(commands))
    return _side_by_side(runs, found, "Versions")


def _side_by_side(runs: Sequence[Run], fields: list[dict[str, Any]], label: str) -> str:
    names = list(dict.fromkeys(name for one in fields for name in one))
    values = {name: [one.get(name, "") for one in fields] for name in names}
    differing = [name for name in names if len(set(map(str, values[name]))) > 1]
    head = ["field", *(run["title"] for run in runs)]
    if len(runs) == 1:
        whole = table(head, [[name, *values[name]] for name in names], label)
        return f"<details><summary>All {len(names)} fields</summary>{whole}</details>"
    same = [[name, *values[name]] for name in names if name not in differing]
    shown = table(head, [[name, *values[name]] for name in differing], label, differing)
    shown = shown if differing else "<p>No difference.</p>"
    rest = table(head, same, f"{label}: the same")
    return f"{shown}<details><summary>The same in all ({len(same)})</summary>{rest}</details>"
