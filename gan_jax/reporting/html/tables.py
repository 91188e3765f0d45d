"""Tables and score cards of a report, as HTML."""

import html
from collections.abc import Sequence
from typing import Any

from gan_jax.runs.compare import flatten
from gan_jax.runs.score_card import format_number

Run = dict[str, Any]


def escape(text: Any) -> str:
    """Escape text for HTML.

    Example:
        >>> escape("a < b")
        'a &lt; b'
    """
    return html.escape(str(text), quote=False)


def table(head: Sequence[Any], rows: Sequence[Sequence[Any]], label: str, marked=()) -> str:
    """Render a table.

    Args:
        head: Titles of the columns.
        rows: Rows of values. The first value of a row is its heading.
        label: Accessible name of the table.
        marked: Headings of the rows to highlight.

    Returns:
        The table, as HTML.
    """
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
    """Render the progress, members, training time, device and folder of each run."""
    rows = []
    for run in runs:
        seconds = sum(launch.get("train_seconds", 0) for launch in run["launches"])
        device = run["versions"].get("device", {})
        devices = f"{device.get('count', '?')} x {device.get('kind', '?')}"
        done = f"{run['step']} of {run['steps']}"
        row = [run["title"], done, run["members"], f"{seconds:.0f} s", devices, run["folder"]]
        rows.append(row)
    return table(["run", "steps", "members", "training", "device", "folder"], rows, "Runs")


def curve_table(panels: Sequence[dict[str, Any]]) -> str:
    """Render the first, last, smallest and largest value of each curve, for screen readers."""
    rows = []
    for panel in panels:
        for line in panel["lines"]:
            mean, std = line["mean"], line.get("last_std")
            last = format_number(mean[-1]) + (f" ± {format_number(std)}" if std is not None else "")
            values = [
                format_number(mean[0]),
                last,
                format_number(min(line["low"])),
                format_number(max(line["high"])),
            ]
            rows.append([line["label"], panel["title"], *values])
    if not rows:
        return "<p>No metrics yet.</p>"
    curves = table(["curve", "diagram", "first", "last", "min", "max"], rows, "Curves as a table")
    return f"<details><summary>Curves as a table</summary>{curves}</details>"


def score_cards(runs: Sequence[Run]) -> str:
    """Render a card for each metric of the latest scored step, and a table for several runs."""
    parts, latest = [], []
    for run in runs:
        steps = [card["step"] for card in run["cards"] if card["step"] is not None]
        cards = [card for card in run["cards"] if card["step"] == max(steps, default=None)]
        latest.append({card["metric"]: card for card in cards})
        heading = f"<h3>{escape(run['title'])}</h3>" if len(runs) > 1 else ""
        if not cards:
            note = f"Not evaluated; run gan-jax evaluate {run['folder']}"
            parts.append(f"{heading}<p>{escape(note)}</p>")
            continue
        parts.append(f'{heading}<div class="cards">{"".join(map(_card, cards))}</div>')
    names = list(dict.fromkeys(name for cards in latest for name in cards))
    if len(runs) > 1 and names:
        values = [{name: _value(card) for name, card in cards.items()} for cards in latest]
        rows = [[name, *(run_values.get(name, "") for run_values in values)] for name in names]
        head = ["metric", *(run["title"] for run in runs)]
        parts.insert(0, table(head, rows, "Scores of the runs"))
    return "\n".join(parts)


def _value(card: dict[str, Any]) -> str:
    """Format the mean and standard deviation over the members, or the standard error of one."""
    if card["mean"] is None:
        return "not finite"
    mean, errors = format_number(card["mean"]), card.get("standard_error")
    if card["sd"] is not None:
        return f"{mean} ± {format_number(card['sd'])}"
    return f"{mean} (se {format_number(errors[0])})" if errors and errors[0] is not None else mean


def _card(card: dict[str, Any]) -> str:
    against = f" against {card['n_real']} of {card['real']}" if card["n_real"] else ""
    lines = [f"{card['n_fake']} samples{against}, {card['features']}"]
    seeds = _format_seeds(card["seeds"])
    lines.append(f"step {card['step']}, weights {card['weights']}, seeds {seeds}")
    if card.get("expected") is not None:
        lines.append(f"expected for real data: {format_number(card['expected'])}")
    notes = "".join(f'<p class="note">{escape(line)}</p>' for line in lines)
    return (
        f'<article class="card"><h3>{escape(card["metric"])}</h3>'
        f'<p class="value">{escape(_value(card))}</p>{notes}</article>'
    )


def _format_seeds(seeds: Sequence[int]) -> str:
    return ", ".join(map(str, seeds[:8])) + (", ..." if len(seeds) > 8 else "")


def config_table(runs: Sequence[Run]) -> str:
    """Render the config fields by dotted name; fields in which several runs differ come first."""
    return _compare(runs, [dict(flatten(run["config"])) for run in runs], "Config")


def version_table(runs: Sequence[Run]) -> str:
    """Render packages, commit, device, data and commands, as `config_table` does."""
    versions = [dict(flatten(run["versions"])) for run in runs]
    for run, fields in zip(runs, versions, strict=True):
        commands = [launch.get("command", "") for launch in run["launches"]]
        fields["command"] = "; ".join(dict.fromkeys(commands))
    return _compare(runs, versions, "Versions")


def _compare(runs: Sequence[Run], run_fields: list[dict[str, Any]], label: str) -> str:
    names = list(dict.fromkeys(name for fields in run_fields for name in fields))
    values = {name: [fields.get(name, "") for fields in run_fields] for name in names}
    differing = [name for name in names if len(set(map(str, values[name]))) > 1]
    head = ["field", *(run["title"] for run in runs)]
    if len(runs) == 1:
        fields = table(head, [[name, *values[name]] for name in names], label)
        return f"<details><summary>All {len(names)} fields</summary>{fields}</details>"
    equal = [[name, *values[name]] for name in names if name not in differing]
    differences = "<p>No differences.</p>"
    if differing:
        rows = [[name, *values[name]] for name in differing]
        differences = table(head, rows, label, differing)
    rest = table(head, equal, f"{label}: equal in all runs")
    summary = f"<summary>Equal in all runs ({len(equal)})</summary>"
    return f"{differences}<details>{summary}{rest}</details>"
