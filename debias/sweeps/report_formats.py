"""The results of a sweep as Markdown, LaTeX, CSV or one HTML page."""

import csv
import io
from collections.abc import Collection, Iterator
from pathlib import Path

from debias.errors import InputError, near, printable
from debias.reports.record import Report
from debias.reports.split import PREFIXES
from debias.reports.tables import latex_table, markdown_table
from debias.reports.templates import render
from debias.sweeps.report import Results, Row, summary
from debias.sweeps.report_charts import sweep_charts
from debias.sweeps.report_tables import tables

#: In which a sweep can be reported.
FORMATS = ("markdown", "latex", "csv", "html")
#: What the CSV file holds of the test split, beside the accuracy of each group.
SCORES = (
    *("worst_group", "adjusted_average", "average"),
    *("robustness_gap", "worst_class", "class_balanced"),
)


def formatted(results: Results, format: str, folder: Path, ignore: Collection[str]) -> str:
    """The results in one of ``FORMATS``.

    Args:
        results: of the sweep.
        format: which.
        folder: that a page will lie in.
        ignore: settings that do not change what a run computes.

    Raises:
        ValueError: another format.
    """
    if format == "html":
        return page(results, folder, ignore)
    written = {"markdown": markdown, "latex": latex_tables, "csv": csv_table}
    if format not in written:
        raise InputError(f"format={format} is unknown; {near(format, FORMATS)}")
    return written[format](results)


def markdown(results: Results) -> str:
    """The comparison of the done runs, what else is known, the counts, and the failures."""
    lines = _tables_in_markdown(results)
    notes = [f"- {note}" for note in (*_left_out(results), *results.failures())]
    protocol = [results.protocol.sentence(), ""] if results.protocol else []
    found = [*protocol, *(lines or ["no finished run", ""]), summary(results.rows), *notes]
    return "\n".join(map(printable, "\n".join(found).split("\n")))


def _tables_in_markdown(results: Results) -> list[str]:
    lines = []
    for dataset, comparison in results.comparisons.items():
        lines += [f"**{dataset}**", ""] if len(results.comparisons) > 1 else []
        lines += [comparison.table("markdown"), ""]
    for table in tables(results) if lines else ():
        lines += [f"**{table.title}.** {table.note}", ""]
        lines += [*markdown_table(table.header, table.rows), ""]
    return lines


def latex_tables(results: Results) -> str:
    """The same as ``tabular`` environments (package booktabs); notes are LaTeX comments."""
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
    """A line for each planned run, done or not, with every digit: for whoever computes with it."""
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
    """HTML page with every table and the charts; it needs no other file and no network.

    Args:
        results: of the sweep.
        folder: that it will lie in, from which it links to the runs' own pages.
        ignore: settings that do not change what a run computes.
    """
    context = {
        "folder": folder.resolve(),
        "name": results.out.resolve().name,
        "summary": summary(results.rows),
        "protocol": results.protocol.sentence() if results.protocol else "",
        "comparisons": results.comparisons,
        "tables": tables(results) if results.comparisons else [],
        "charts": sweep_charts(results, ignore),
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
    """Keys of the accuracy of each group, or of each class where no test image has a known bias."""
    return [PREFIXES[report.test.kind] + cell.name for cell in report.test.cells]


def _values(row: Row) -> dict[str, object]:
    """What the CSV file says of a run: its scores where it is done, or why it failed."""
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
