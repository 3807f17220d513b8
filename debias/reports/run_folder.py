"""What a finished run leaves in its folder: its page, and then report.json."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from debias.errors import InputError
from debias.files import write_atomically
from debias.json_files import Json, json_text, plain
from debias.reports.page import write_page
from debias.reports.privacy import without_places
from debias.reports.record import PAGE, SCHEMA, read_report, report_of

if TYPE_CHECKING:
    from debias.reports.mistakes import Overlays, Pictures, Prepared
    from debias.reports.predictions import Predictions


def write_report(
    folder: Path,
    record: Json,
    predictions: Predictions | None = None,
    pictures: Pictures | None = None,
    *,
    prepared: Prepared | None = None,
    overlays: Overlays | None = None,
) -> None:
    """Write report.html, and then report.json, which marks the run as finished.

    Args:
        folder: the run's folder.
        record: the entries of report.json, ``"schema": 1``; tensors and arrays become lists, NaN
            and infinity become null. Where its config says ``anonymous``, absolute paths become
            file names.
        predictions, pictures, prepared, overlays: see :func:`debias.reports.page.render_report`.

    Raises:
        ValueError: the record is of another schema, or holds something that JSON has no form for.
    """
    record = plain(record)
    if record.get("schema") != SCHEMA:
        raise InputError(f'a report has "schema": {SCHEMA}; got {record.get("schema")!r}')
    if record["config"].get("anonymous"):
        record = without_places(record)
    text = json_text(record)
    report = report_of(record, folder)
    write_page(folder / PAGE, report, predictions, pictures, prepared, overlays)
    write_atomically(folder / "report.json", text)


def page_of(folder: Path) -> Path:
    """The page of a finished run; if an earlier version left none, it is written now."""
    page = folder / PAGE
    if not page.is_file():
        write_page(page, read_report(folder), None, None)
    return page
