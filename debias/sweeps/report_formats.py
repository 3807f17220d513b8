"""Write the results of a sweep as Markdown, LaTeX, CSV or one HTML page."""

import csv
import io
from collections.abc import Collection, Iterator
from dataclasses import replace
from pathlib import Path

from debias.errors import InputError, near, printable
from debias.reports.method_views import method_views
from debias.reports.record import Report
from debias.reports.split import PREFIXES
from debias.reports.tables import latex_table, markdown_table
from debias.reports.templates import render
from debias.sweeps.report import Results, Row, summary
from debias.sweeps.report_charts import sweep_charts
from debias.sweeps.report_tables import tables

#: The formats of a sweep's report.
FORMATS = ("markdown", "latex", "csv", "html")
#: Test metrics with a column in the CSV file, in addition to the accuracy of each group.
SCORES = (
    *("worst_group", "adjusted_average", "average"),
    *("robustness_gap", "worst_class", "class_balanced"),
)


def formatted(results: Results, format: str, folder: Path, ignore: Collection[str]) -> str:
    """Write the results of a sweep in one of ``FORMATS``.

    Args:
        results: results of the sweep.
        format: one of ``FORMATS``.
        folder: folder for the HTML page; its links to the runs' pages are relative to it.
        ignore: settings that do not change the result of a run.

    Raises:
        ValueError: ``format`` is not one of ``FORMATS``.
    """
    if format == "html":
        return page(results, folder, ignore)
    written = {"markdown": markdown, "latex": latex_tables, "csv": csv_table}
    if format not in written:
        raise InputError(f"format={format} is unknown; {near(format, FORMATS)}")
    return written[format](results)


def markdown(results: Results) -> str:
    """Write the report in Markdown: protocol, tables of finished runs, counts, and failures."""
    lines = _tables_in_markdown(results)
    notes = [f"- {note}" for note in (*_left_out(results), *results.failures())]
    protocol = [results.protocol.sentence(), ""] if results.protocol else []
    parts = [*protocol, *(lines or ["no finished run", ""]), summary(results.rows), *notes]
    return "\n".join(map(printable, "\n".join(parts).split("\n")))


def _tables_in_markdown(results: Results) -> list[str]:
    lines = []
    for dataset, comparison in results.comparisons.items():
        lines += [f"**{dataset}**", ""] if len(results.comparisons) > 1 else []
        # the report's own notes name what was left out
        lines += [replace(comparison, left_out=()).table("markdown"), ""]
    for table in tables(results) if lines else ():
        lines += [f"**{table.title}.** {table.note}", ""]
        lines += [*markdown_table(table.header, table.rows), ""]
    return lines


def latex_tables(results: Results) -> str:
    """Write the tables as LaTeX ``tabular`` environments (package booktabs).

    Titles, notes and failures are LaTeX comments.
    """
    lines = ["% needs \\usepackage{booktabs}"]
    for dataset, comparison in results.comparisons.items():
        lines += [f"% {dataset}", *latex_table(comparison.header(), comparison.rows())]
        lines += [*(f"% {note}" for note in comparison.notes()), ""]
    for table in tables(results) if results.comparisons else ():
        lines += [f"% {table.title}. {table.note}", *latex_table(table.header, table.rows), ""]
    protocol = [results.protocol.sentence()] if results.protocol else []
    notes = (*protocol, summary(results.rows), *_left_out(results), *results.failures())
    return "\n".join([*lines, *(f"% {note}" for note in notes)])


def csv_table(results: Results) -> str:
    """Write CSV with one line per run, done or not, and every digit of its numbers."""
    reports = [row.report for row in results.rows if row.report is not None]
    groups = dict.fromkeys(key for report in reports for key in _accuracies(report))
    cost = ["seconds", "seconds_per_epoch", "peak_memory_mb"]
    ends = [f"worst_{kind}_{end}" for kind in ("group", "class") for end in ("low", "high")]
    columns = ["run", "settings", "status", "reason", "protocol", "data", "method", "group_labels"]
    columns += ["seed", *ends, *SCORES, *groups, *cost]
    methods = results.methods()
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    writer.writeheader()
    for row in results.rows:
        dataset, method = methods.get(row.name, ("", None))
        named = {"run": row.name, "settings": row.settings, "status": row.status}
        named |= {"protocol": results.protocol.labels if results.protocol else ""}
        named |= {} if method is None else {"data": dataset, "method": method.label}
        writer.writerow(named | _values(row))
    return text.getvalue().removesuffix("\n")


def page(results: Results, folder: Path, ignore: Collection[str]) -> str:
    """Write an HTML page with all tables and charts. It needs no other file and no network.

    Args:
        results: results of the sweep.
        folder: folder for the page; its links to the runs' pages are relative to it.
        ignore: settings that do not change the result of a run.
    """
    views = {
        dataset: method_views(comparison, f"curves{place}")
        for place, (dataset, comparison) in enumerate(results.comparisons.items())
    }
    context = {
        "views": views,
        "folder": folder.resolve(),
        "name": results.out.resolve().name,
        "summary": summary(results.rows),
        "protocol": results.protocol.sentence() if results.protocol else "",
        "comparisons": results.comparisons,
        "tables": tables(results) if results.comparisons else [],
        "charts": sweep_charts(results, ignore),
        "trials": results.trials,
        "notes": [*_left_out(results), *results.failures()],
    }
    return render("sweep.html", context)


def _left_out(results: Results) -> Iterator[str]:
    yield from results.added()
    yield from (f"left out: {reason}" for reason in results.left_out)
    for comparison in results.comparisons.values():
        yield from (f"left out: {reason}" for reason in comparison.left_out)
    for paired in results.paired.values():
        yield from paired.left_out


def _accuracies(report: Report) -> list[str]:
    """Keys of the group accuracies, or of class accuracies if no test image has a bias label."""
    return [PREFIXES[report.test.kind] + cell.name for cell in report.test.cells]


def _values(row: Row) -> dict[str, object]:
    """The CSV columns of one run: its scores if it is done, otherwise why it failed."""
    report = row.report
    if report is None:
        return {"reason": row.reason}
    scalars = report.test.scalars
    intervals = {
        f"{kind}_{end}": value
        for kind in ("worst_group", "worst_class")
        for end, value in zip(("low", "high"), report.test.interval(kind), strict=True)
        if scalars.get(kind) is not None
    }
    return {
        "group_labels": report.strategy.group_labels,
        "seed": report.seed,
        **intervals,
        **{name: scalars.get(name) for name in (*SCORES, *_accuracies(report))},
        "seconds": report.seconds.total,
        "seconds_per_epoch": report.seconds.epoch,
        "peak_memory_mb": report.peak_memory_mb,
    }
