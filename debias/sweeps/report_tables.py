"""The tables of a sweep's report: real differences, ranks, costs, and every run."""

import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from debias.reports.comparison import ComparedMethod, Comparison
from debias.reports.record import Report
from debias.reports.split import SCALARS
from debias.reports.tables import listed, spread_of
from debias.reports.wording import percent
from debias.sweeps.report import Results, Row
from debias.sweeps.report_trials import chosen_rows

PAIRS = (
    "Worst-{kind} accuracy of the first method minus that of the second, in points, on the same "
    "test images, averaged over the seeds that both have. The 95 % interval is from 9,999 "
    "bootstrap samples of images and seeds. p is adjusted for all pairs of the data set (Holm). A "
    "difference is real if p is below 0.05, it lies in its interval, and there are several seeds. "
    "With two or three seeds, the interval includes the variation between seeds only roughly; with "
    "one seed, not at all. With many small groups, it may lie beside the difference."
)
COSTS = (
    "The rank is by the mean worst-{kind} accuracy of the finished runs. Seconds and peak memory "
    "(in MB, of the process on the host) are means over these runs."
)
RANKS = "Ranks by mean worst-{kind} accuracy on each data set; 1 is the best."
CHOSEN = (
    "Objectives on validation, in percent. A trial is chosen if no other is at least as good in "
    "every objective and better in one; of equal trials, the first."
)
RUNS = (
    "Test split, in percent: worst-{kind} accuracy with its 95 % interval, average, and the gap "
    "between the two. The seconds include the training of every stage and the evaluation, but not "
    "the computations of a recipe between stages. The peak memory is in MB."
)


class ReportTable(NamedTuple):
    """A table of text cells, with a title and a note on how to read it."""

    title: str
    note: str
    header: list[str]
    rows: list[list[str]]


def tables(results: Results) -> list[ReportTable]:
    """Make the tables of pairs, ranks, trials, costs and runs; those without rows are left out.

    At least one run must be done. The comparison of the methods is not among these tables.
    """
    before = (_pairs(results), _ranks(results.comparisons), _trials(results))
    every = (*before, _costs(results), _runs(results))
    filled, kind = [table for table in every if table.rows], kind_of_all(results)
    return [table._replace(note=table.note.replace("{kind}", kind)) for table in filled]


def kind_of_all(results: Results) -> str:
    """The word after "worst" in the tables: "group", "class" without bias labels, or both."""
    kinds = sorted({comparison.kind for comparison in results.comparisons.values()}, reverse=True)
    return " or ".join(kinds)


def ranks(methods: Sequence[ComparedMethod]) -> dict[str, int]:
    """Rank the methods by their mean worst-group (or worst-class) accuracy, from 1.

    Equal methods share a rank. A method without this accuracy has none.
    """
    means = {method.label: method.worst.mean for method in methods}
    defined = [mean for mean in means.values() if mean is not None]
    return {
        label: 1 + sum(other > mean for other in defined)
        for label, mean in means.items()
        if mean is not None
    }


def _pairs(results: Results) -> ReportTable:
    header = ["method", "minus", "data set", "seeds", "difference", "95 % interval", "p", "real"]
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
    """Rank each method on each data set. The table is empty if there is only one data set."""
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


def _trials(results: Results) -> ReportTable:
    """List the trials that a search chose. The table is empty without a search."""
    objectives = results.protocol.objectives if results.protocol else ()
    note = " ".join([CHOSEN, *(f"{one.summary()}." for one in results.trials)])
    header = ["config", "trial", "settings", *objectives]
    return ReportTable("Chosen trials of the search", note, header, chosen_rows(results.trials))


def _costs(results: Results) -> ReportTable:
    words = ["method", "group labels", "data set", "rank"]
    header = [*words, "done", "failed", "missing", "seconds", "peak memory"]
    return ReportTable("Runs and their cost", COSTS, header, list(_cost_rows(results)))


def _cost_rows(results: Results) -> Iterator[list[str]]:
    methods = results.methods()
    placed = {dataset: ranks(each.methods) for dataset, each in results.comparisons.items()}
    settings: dict[str, list[Row]] = {}
    for row in results.rows:
        settings.setdefault(row.setting, []).append(row)
    for setting, planned in settings.items():
        for same in _by_method(planned, methods):
            words = [setting, "-", "-", "-"]
            if finished := next((methods[row.name] for row in same if row.name in methods), None):
                dataset, method = finished
                place = placed[dataset].get(method.label, "-")
                label = f"{method.label} (added)" if same[0].added else method.label
                words = [label, method.group_labels, dataset, str(place)]
            yield [*words, *_costs_of(same)]


def _by_method(
    planned: Sequence[Row], methods: Mapping[str, tuple[str, ComparedMethod]]
) -> Iterable[list[Row]]:
    """Divide the runs of a setting by data set and method: its data may differ between seeds.

    The runs that are not done belong to the only method, or else are a list of their own.
    """
    finished = {row.name: methods[row.name] for row in planned if row.name in methods}
    found = {name: (dataset, method.label) for name, (dataset, method) in finished.items()}
    only = next(iter(found.values())) if len({*found.values()}) == 1 else None
    divided: dict[tuple[str, str] | None, list[Row]] = {}
    for row in planned:
        divided.setdefault(found.get(row.name, only), []).append(row)
    return divided.values()


def _costs_of(runs: Sequence[Row]) -> list[str]:
    """How many runs are done, failed and missing, and the means of those that are done."""
    reports = [row.report for row in runs if row.report is not None]
    failed = sum(row.status == "failed" for row in runs)
    counts = [len(reports), failed, len(runs) - len(reports) - failed]
    seconds = spread_of([report.seconds.total for report in reports]).mean
    memory = spread_of([report.peak_memory_mb for report in reports]).mean
    return [*map(str, counts), _whole(seconds), _whole(memory)]


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
