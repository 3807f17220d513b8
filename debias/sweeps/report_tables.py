"""The tables of a sweep: methods, real differences, costs, and every run."""

import statistics
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from debias.reports.comparison import ComparedMethod, Comparison
from debias.reports.record import Report
from debias.reports.split import SCALARS
from debias.reports.tables import listed, spread_of
from debias.reports.wording import percent
from debias.sweeps.report import Results, Row

PAIRS = (
    "Worst-{kind} accuracy of the first less that of the second, in points, on the same test "
    "images, mean over the seeds that both have; 95 % interval of 9,999 bootstrap samples of "
    "images and seeds; p adjusted for all pairs (Holm); a difference is real where p is below 0.05 "
    "and there are several seeds. With two or three the seeds' part of the interval is rough; one "
    "says nothing of another."
)
COSTS = (
    "Rank by mean worst-{kind} accuracy of the runs done; means over these runs. Memory is the "
    "process's, on the host."
)
RANKS = "By mean worst-{kind} accuracy on each data set, 1 the best."
RUNS = (
    "Test split, in percent: worst-{kind} accuracy with its 95 % interval, average, and the gap "
    "between the two. Then seconds of the training of every stage and of the evaluation (not of "
    "what a recipe computes between stages), and peak memory in MB."
)


class ReportTable(NamedTuple):
    """A table of text, what it shows and how to read it."""

    title: str
    note: str
    header: list[str]
    rows: list[list[str]]


def tables(results: Results) -> list[ReportTable]:
    """Every table of a sweep of which some run is done, but for the comparisons; those without a
    row are left out.
    """
    every = (_pairs(results), _ranks(results.comparisons), _costs(results), _runs(results))
    found, kind = [table for table in every if table.rows], kind_of_all(results)
    return [table._replace(note=table.note.replace("{kind}", kind)) for table in found]


def kind_of_all(results: Results) -> str:
    """What the tables call what they rank by: "group", "class" if no bias is known, or both."""
    kinds = sorted({comparison.kind for comparison in results.comparisons.values()}, reverse=True)
    return " or ".join(kinds)


def ranks(methods: Sequence[ComparedMethod]) -> dict[str, int]:
    """Place of each method by its mean worst group (or class), shared by equals; or none."""
    means = {method.label: method.worst.mean for method in methods}
    known = [mean for mean in means.values() if mean is not None]
    return {
        label: 1 + sum(other > mean for other in known)
        for label, mean in means.items()
        if mean is not None
    }


def _pairs(results: Results) -> ReportTable:
    header = ["method", "less", "data set", "seeds", "difference", "95 % interval", "p", "real"]
    rows = [
        [
            pair.first,
            pair.second,
            dataset,
            listed(pair.seeds),
            _points(pair.difference),
            f"[{_points(pair.low)}, {_points(pair.high)}]",
            f"{pair.p_value:.4f}",
            "yes" if pair.real else "no",
        ]
        for dataset, paired in results.paired.items()
        for pair in paired.pairs
    ]
    return ReportTable("Which differences are real", PAIRS, header, rows)


def _ranks(comparisons: dict[str, Comparison]) -> ReportTable:
    """Only where there are several data sets."""
    placed = {dataset: ranks(comparison.methods) for dataset, comparison in comparisons.items()}
    methods = [method for comparison in comparisons.values() for method in comparison.methods]
    labels = {method.label: method.group_labels for method in methods}
    rows = []
    for label in labels if len(placed) > 1 else ():
        own = [places[label] for places in placed.values() if label in places]
        cells = [str(places.get(label, "-")) for places in placed.values()]
        if own:
            mean = f"{statistics.fmean(own):.1f}"
            rows.append([label, labels[label], str(len(own)), mean, *cells])
    rows.sort(key=lambda row: float(row[3]))
    header = ["method", "group labels", "data sets", "mean rank", *placed]
    return ReportTable("Ranks", RANKS, header, rows)


def _costs(results: Results) -> ReportTable:
    words = ["method", "group labels", "data set", "rank"]
    header = [*words, "done", "failed", "missing", "seconds", "peak memory"]
    return ReportTable("Runs and their cost", COSTS, header, list(_cost_rows(results)))


def _cost_rows(results: Results) -> Iterator[list[str]]:
    methods = results.methods()
    settings: dict[str, list[Row]] = {}
    for row in results.rows:
        settings.setdefault(row.setting, []).append(row)
    for setting, planned in settings.items():
        reports = [row.report for row in planned if row.report is not None]
        failed = sum(row.status == "failed" for row in planned)
        counts = [len(reports), failed, len(planned) - len(reports) - failed]
        known = next((methods[row.name] for row in planned if row.name in methods), None)
        words = [setting, "-", "-", "-"]
        if known is not None:
            dataset, method = known
            place = ranks(results.comparisons[dataset].methods).get(method.label, "-")
            label = f"{method.label} (added)" if planned[0].added else method.label
            words = [label, method.group_labels, dataset, str(place)]
        seconds = spread_of([report.seconds.total for report in reports]).mean
        memory = spread_of([report.peak_memory_mb for report in reports]).mean
        yield [*words, *map(str, counts), _whole(seconds), _whole(memory)]


def _runs(results: Results) -> ReportTable:
    words = ["method", "data set", "group labels", "seed", f"worst {kind_of_all(results)}"]
    header = [*words, "95 % interval", "average", "gap", "seconds", "peak memory"]
    rows = [
        [method.label, dataset, method.group_labels, str(run.seed), *_scores(run)]
        for dataset, comparison in results.comparisons.items()
        for method in comparison.methods
        for run in method.runs
    ]
    return ReportTable("Every run", RUNS, header, rows)


def _scores(report: Report) -> list[str]:
    test = report.test
    worst, average = SCALARS[test.kind][0], test.scalars.get("average")
    low, high = test.interval(worst)
    value = test.scalars.get(worst)
    gap = None if value is None or average is None else average - value
    cost = [_whole(report.seconds.total), _whole(report.peak_memory_mb)]
    interval = f"[{percent(low, '-')}, {percent(high, '-')}]"
    return [percent(value, "-"), interval, percent(average, "-"), percent(gap, "-"), *cost]


def _points(value: float) -> str:
    return f"{round(100 * value, 1) + 0.0:+.1f}"


def _whole(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f}"
