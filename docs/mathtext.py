"""Formulas as inline SVG by matplotlib's mathtext: no script, no font, and no LaTeX is needed.

MathJax, Sphinx's default, is loaded from the network, and the site must be readable without one.
"""

import functools
import html
from typing import Any

from docutils import nodes
from matplotlib.font_manager import FontProperties
from matplotlib.path import Path
from matplotlib.textpath import text_to_path

NAME = "mathtext"
SIZE = 10.0  # units of the drawing in one em
COMMANDS = {Path.MOVETO: "M", Path.LINETO: "L", Path.CURVE3: "Q", Path.CURVE4: "C"}


@functools.cache
def svg(formula: str) -> str:
    """Draw a formula in matplotlib's subset of LaTeX, in the color of the text around it."""
    font = FontProperties(size=SIZE, math_fontfamily="stix")
    text = f"${formula}$"
    width, height, depth = text_to_path.get_text_width_height_descent(text, font, ismath=True)
    vertices, codes = text_to_path.get_text_path(font, text, ismath=True)
    scale = SIZE / text_to_path.FONT_SCALE
    outline = Path([(scale * x, -scale * y) for x, y in vertices], codes)
    box = f"0 {depth - height:.2f} {width:.2f} {height:.2f}"
    style = f"height:{height / SIZE:.3f}em;vertical-align:{-depth / SIZE:.3f}em"
    label = html.escape(formula, quote=True)
    return (
        f'<svg class="formula" role="img" aria-label="{label}" viewBox="{box}" style="{style}">'
        f'<path fill="currentColor" d="{_path_data(outline)}"/></svg>'
    )


def _path_data(outline: Path) -> str:
    """Write a path as the data of an SVG path."""
    commands = []
    for points, code in outline.iter_segments(curves=True, simplify=False):
        if code == Path.CLOSEPOLY:
            commands.append("Z")
        else:
            numbers = " ".join(f"{number:.2f}" for number in points)
            commands.append(COMMANDS[code] + numbers)
    return "".join(commands)


def _visit_inline(translator: Any, node: nodes.math) -> None:
    translator.body.append(svg(node.astext()))
    raise nodes.SkipNode


def _visit_block(translator: Any, node: nodes.math_block) -> None:
    lines = [line.strip() for line in node.astext().split("\\\\")]
    drawn = "".join(f"<div>{svg(line.replace(chr(10), ' '))}</div>" for line in lines if line)
    translator.body.append(f'<div class="formula-block">{drawn}</div>')
    raise nodes.SkipNode


def setup(app: Any) -> None:
    """Add the renderer to a Sphinx application."""
    app.add_html_math_renderer(
        NAME, inline_renderers=(_visit_inline, None), block_renderers=(_visit_block, None)
    )
