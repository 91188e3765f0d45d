"""Sphinx configuration. Generated pages are written before each build (docs/generate.py)."""

import os
import re
import sys
from pathlib import Path

DOCS = Path(__file__).parent
sys.path.insert(0, str(DOCS.parent))
os.environ.setdefault("JAX_PLATFORMS", "cpu")

import gan_jax  # noqa: E402
from docs import api, docstrings, generate, mathtext  # noqa: E402

project = "gan_jax"
author = "The gan_jax authors"
copyright = author  # noqa: A001
release = gan_jax.__version__

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
    "sphinx_design",
]
exclude_patterns = ["_generated"]

# Notebooks are executed by tests/docs/test_notebooks.py; the site shows their committed outputs.
nb_execution_mode = "off"
nb_ipywidgets_js: dict[str, dict[str, str]] = {}  # no script from the network
myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_default_options = {"members": True, "undoc-members": True, "show-inheritance": True}
napoleon_numpy_docstring = False
python_maximum_signature_line_length = 88
# Names of this package must resolve. Those of other packages would need their inventories, which
# are on the network.
nitpicky = True
nitpick_ignore_regex = [
    ("py:.*", r"(?!gan_jax\.).*"),
    ("py:.*", r".*\.(_\w+|[A-Z]|[A-Z]\w*T)"),  # private types, type variables
]
suppress_warnings = ["ref.python"]  # a short name in a signature that several modules define

html_theme = "furo"
html_title = f"gan_jax {release}"
html_math_renderer = mathtext.NAME
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_extra_path = ["_generated/extra"]
html_copy_source = False


# Links of the pages to files of the repository, and the pages of the site about these files.
SITE_PAGES = (
    (r"notebooks/(\w+\.ipynb)", r"notebooks/\2"),
    (r"experiments/", "recipes/index.md"),
    (r"experiments/(\w+)\.py", r"recipes/\2.md"),
    (r"gan_jax/(\w+)/", r"api/gan_jax.\2.md"),
)


def link_to_site_pages(app, docname, source):  # noqa: ARG001
    """Replace links that lead to files in a clone by links to the pages of the site."""
    for file, page in SITE_PAGES:
        # The root of the repository is the parent folder of docs/.
        source[0] = re.sub(rf"\]\(\.\./((?:\.\./)*){file}\)", rf"](\1{page})", source[0])


def setup(app):
    """Register the formula renderer, and write the generated pages."""
    mathtext.setup(app)
    app.connect("source-read", link_to_site_pages)
    app.connect("autodoc-process-signature", api.shorten_signature)
    escaper = docstrings.Escaper()
    app.connect("autodoc-process-docstring", escaper.before, priority=400)
    app.connect("autodoc-process-docstring", escaper.after, priority=600)  # napoleon's is 500
    generate.write_all()
    api.simplify_annotations()
