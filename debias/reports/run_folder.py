"""Write the page and the report of a finished run into its folder."""

from pathlib import Path

from debias.errors import InputError
from debias.files import write_atomically
from debias.json_files import Json, json_text, plain
from debias.reports.galleries import Views
from debias.reports.page import render_report
from debias.reports.privacy import without_places
from debias.reports.record import PAGE, SCHEMA, report_of


def write_report(folder: Path, record: Json, views: Views | None = None) -> None:
    """Write report.html, and then report.json, which marks the run as finished.

    Args:
        folder: the run's folder.
        record: the entries of report.json, with ``"schema": 1``. Tensors and arrays become lists;
            NaN and infinity become null. If ``anonymous`` is true in its config, absolute paths
            become file names.
        views: predictions and pictures, see :func:`debias.reports.page.render_report`.

    Raises:
        ValueError: the record has another schema, or a value that JSON cannot represent.
    """
    record = plain(record)
    if record.get("schema") != SCHEMA:
        raise InputError(f'a report must have "schema": {SCHEMA}; got {record.get("schema")!r}')
    if record["config"].get("anonymous"):
        record = without_places(record)
    text = json_text(record)
    write_atomically(folder / PAGE, render_report(report_of(record, folder), views))
    write_atomically(folder / "report.json", text)
