"""Render the HTML templates in the folder ``html``."""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from debias.reports import charts
from debias.reports.privacy import without_places
from debias.reports.record import PAGE
from debias.reports.wording import number, percent

if TYPE_CHECKING:
    from jinja2 import Environment

HTML = Path(__file__).parent / "html"
#: A table with more rows scrolls in a box, and a legend with more entries is folded.
LONG_TABLE, LONG_LEGEND = 40, 12


def render(template: str, context: Mapping[str, Any]) -> str:
    """Render a template. Values are escaped, and absolute paths are cut to their last part.

    Args:
        template: file name of the template.
        context: the variables of the template. A missing variable is an error.
    """
    return environment().get_template(template).render(context) + "\n"


@cache
def environment() -> Environment:
    """The templates with what all of them use. Each is compiled once in a process."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    made = Environment(
        loader=FileSystemLoader(HTML),
        finalize=without_places,
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(percent=percent, number=number, zip=zip, enumerated=enumerate)
    made.globals.update(
        colours=charts.COLOURS, colour=charts.group_colour, mark=_mark, link=_link, address=_address
    )
    made.globals.update(long_table=LONG_TABLE, long_legend=LONG_LEGEND, **_script())
    return made


def _script() -> dict[str, str]:
    """The script of every page, and its digest. A browser runs no other script on the page."""
    from markupsafe import Markup

    text = (HTML / "script.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")
    return {"script": Markup(text), "script_source": Markup(f"sha256-{digest}")}


def _mark(group: int) -> str:
    return charts.MARKERS[charts.group_marker(group)]


def _link(text: str, run: Path, folder: Path) -> str:
    """Make a link to a run's page. If the run has no page, the result is only the text.

    Args:
        text: text of the link.
        run: the run's folder.
        folder: folder of the page with the link. The address is relative to it.
    """
    page = run.resolve() / PAGE
    if not page.is_file():  # it was deleted
        return text
    return _address(text, Path(os.path.relpath(page, folder)))


def _address(text: str, page: Path) -> str:
    """Make a link to a page, whose path is relative to the page with the link."""
    from markupsafe import Markup

    return Markup('<a href="{}">{}</a>').format(quote(page.as_posix()), text)
