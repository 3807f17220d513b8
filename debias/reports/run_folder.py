"""What a finished run leaves in its folder: its page, and then report.json."""

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
        record: the entries of report.json, ``"schema": 1``; tensors and arrays become lists, NaN
            and infinity become null. Where its config says ``anonymous``, absolute paths become
            file names.
        views: see :func:`debias.reports.page.render_report`.

    Raises:
        ValueError: the record is of another schema, or holds something that JSON has no form for.
    """
    record = plain(record)
    if record.get("schema") != SCHEMA:
        raise InputError(f'a report has "schema": {SCHEMA}; got {record.get("schema")!r}')
    if record["config"].get("anonymous"):
        record = without_places(record)
    text = json_text(record)
    write_atomically(folder / PAGE, render_report(report_of(record, folder), views))
    write_atomically(folder / "report.json", text)
