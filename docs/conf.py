"""Sphinx configuration: sphinx-build -W docs docs/_build."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from sphinx.application import Sphinx

import debias

project = "debias"
author = "debias contributors"
project_copyright = "2026, debias contributors"
release = debias.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "sphinx.ext.mathjax",
]
exclude_patterns = ["_build"]
templates_path = ["_templates"]
html_theme = "furo"
html_title = "debias"

myst_enable_extensions = ["colon_fence", "dollarmath", "deflist"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
add_module_names = False
python_use_unqualified_type_names = True
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True
# Returns is prose here: napoleon would take what stands before its first colon for a type.
napoleon_custom_sections = [("Returns", "prose")]


def keep_colon(
    app: Sphinx, what: str, name: str, item: object, options: object, lines: list[str]
) -> None:
    """Begin with an empty line: napoleon takes the text before a first colon for a type."""
    if what in ("attribute", "data", "property"):
        lines.insert(0, "")


def setup(app: Sphinx) -> None:
    """Register the handler, before napoleon's own."""
    app.connect("autodoc-process-docstring", keep_colon, priority=400)
