"""Write the page and the report of a finished run into its folder."""

import csv
import io
from collections.abc import Mapping
from pathlib import Path

from debias.errors import InputError
from debias.files import write_atomically
from debias.json_files import Json, json_text, plain
from debias.reports.galleries import Views
from debias.reports.page import render_report
from debias.reports.privacy import without_places
from debias.reports.record import ACCURACIES, PAGE, SCHEMA, report_of
from debias.reports.sections import GROUPS_FOLDED
from debias.reports.split import Split


def write_report(folder: Path, record: Json, views: Views | None = None) -> None:
    """Write report.html, and then report.json, which marks the run as finished.

    If there are too many groups for the page, accuracies.csv lists them.

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
    report = report_of(record, folder)
    if len(report.test.cells) > GROUPS_FOLDED:
        write_atomically(folder / ACCURACIES, _accuracies({"val": report.val, "test": report.test}))
    write_atomically(folder / PAGE, render_report(report, views))
    write_atomically(folder / "report.json", text)


def _accuracies(splits: Mapping[str, Split]) -> str:
    """The accuracy of each group as CSV, or of each class if no group is known."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["split", "group", "images", "accuracy", "low", "high"])
    for name, split in splits.items():
        for cell in split.cells:
            table.writerow([name, cell.name, cell.count, cell.accuracy, cell.low, cell.high])
    return text.getvalue()
