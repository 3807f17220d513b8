"""Filling the HTML templates of the folder ``html``."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from debias.reports import charts
from debias.reports.privacy import without_places
from debias.reports.record import PAGE
from debias.reports.wording import number, percent


def render(template: str, context: Mapping[str, Any]) -> str:
    """Fill a template; values are escaped, and absolute paths are cut to their last part.

    Args:
        template: its file name.
        context: what it speaks of; a name it uses and is not given is an error.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "html"),
        finalize=without_places,
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(percent=percent, number=number)
    environment.globals.update(
        colours=charts.COLOURS, colour=charts.group_colour, mark=_mark, link=_link
    )
    return environment.get_template(template).render(context) + "\n"


def _mark(group: int) -> str:
    return charts.MARKERS[charts.group_marker(group)]


def _link(text: str, run: Path, folder: Path) -> str:
    """A link to a run's page, relative to the folder of the page that holds it; the text alone if
    there is no page.
    """
    from markupsafe import Markup

    page = run.resolve() / PAGE
    if not page.is_file():  # somebody deleted it
        return text
    return Markup('<a href="{}">{}</a>').format(
        quote(Path(os.path.relpath(page, folder)).as_posix()), text
    )
