"""Recorded results of published tables: a CSV file, and Markdown tables of it."""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from debias import config as configs
from debias.csv_files import read_csv
from debias.files import write_atomically
from debias.reports.record import Report, read_report
from debias.reports.tables import Spread
from debias.sweeps.cost import processor_seconds
from debias.sweeps.figures import FIGURES
from debias.sweeps.files import files_of
from debias.sweeps.published import BENCHMARKS, FACTS, Setting
from debias.sweeps.reproduce import Reproduced, title_of
from debias.sweeps.reproducing.verdicts import PASS, verdict

#: The columns that identify a figure, as in ``published.csv``.
KEY = ("benchmark", "name", "settings", "metric")
UNKNOWN = "not run yet"


class Result(NamedTuple):
    """A recorded result of one published figure.

    Attributes:
        mean: mean over the runs, in percent.
        deviation: standard deviation over the runs in percent; "" for a single run.
        runs: number of runs.
        cpu_hours: threads times hours of all runs of the setting; "" if they used no CPU alone.
        device: where the runs trained.
        commit: commits of the code that trained them.
    """

    mean: str
    deviation: str
    runs: str
    cpu_hours: str
    device: str
    commit: str

    @property
    def spread(self) -> Spread:
        """Mean and deviation as fractions of 1."""
        deviation = float(self.deviation) / 100 if self.deviation else None
        return Spread(float(self.mean) / 100, deviation, int(self.runs), int(self.runs))


#: Results by their key.
Results = Mapping[tuple[str, ...], Result]


def key_of(benchmark: str, setting: Setting) -> tuple[str, ...]:
    """The key of a published figure, see ``KEY``."""
    varied = " ".join(f"{name}={value}" for name, value in setting.varied.items())
    return (benchmark, setting.name, varied, setting.metric)


def read_results(path: Path) -> dict[tuple[str, ...], Result]:
    """Read recorded results; none if the file does not exist.

    Raises:
        ValueError: the file lacks a column.
    """
    if not path.is_file():
        return {}
    columns = read_csv(path)
    rows = zip(*(columns.column(name) for name in (*KEY, *Result._fields)), strict=True)
    return {row[: len(KEY)]: Result(*row[len(KEY) :]) for row in rows}


def record_results(path: Path, benchmark: str, reproduced: Sequence[Reproduced]) -> None:
    """Write the results of the finished runs into a file, in place of earlier ones.

    Results of other figures stay. Results of figures that are not published any more are dropped.
    """
    new = {key_of(benchmark, one.setting): _result(one) for one in reproduced}
    found = read_results(path) | {key: result for key, result in new.items() if result is not None}
    keys = [key_of(name, setting) for name in BENCHMARKS for setting in BENCHMARKS[name]]
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow((*KEY, *Result._fields))
    table.writerows((*key, *found[key]) for key in keys if key in found)
    write_atomically(path, text.getvalue())


def _result(one: Reproduced) -> Result | None:
    measured = one.measured
    if measured.mean is None:
        return None
    reports = [read_report(run.folder) for run in one.runs if files_of(run).report.is_file()]
    deviation = "" if measured.deviation is None else f"{100 * measured.deviation:.2f}"
    hours = [seconds / 3600 for seconds in map(processor_seconds, reports) if seconds is not None]
    return Result(
        f"{100 * measured.mean:.2f}",
        deviation,
        str(measured.defined),
        f"{sum(hours):.2f}" if len(hours) == len(reports) else "",
        ", ".join(sorted({report.device for report in reports})),
        ", ".join(sorted({_commit(report) for report in reports})),
    )


def _commit(report: Report) -> str:
    return (report.git.commit or "unknown")[:7] + ("+" if report.git.dirty else "")


def benchmark_rows(results: Results) -> Iterator[list[str]]:
    """One row per table: command, cost, how many figures pass, and what they prove."""
    for benchmark, settings in BENCHMARKS.items():
        known = [one for one in settings if key_of(benchmark, one) in results]
        passed = [one for one in known if verdict_of(benchmark, one, results) == PASS]
        facts = FACTS[benchmark]
        yield [
            facts.title,
            f"`debias reproduce {benchmark} data.root=PATH`",
            _hours(benchmark, known, results),
            f"{len(passed)} of {len(known)} pass" if known else UNKNOWN,
            str(sum(not _complete(benchmark, one, results) for one in settings)),
            facts.proves,
        ]


def figure_rows(benchmark: str, results: Results) -> Iterator[list[str]]:
    """One row per published figure of a table."""
    for setting in BENCHMARKS[benchmark]:
        result = results.get(key_of(benchmark, setting))
        yield [
            title_of(setting),
            FIGURES[setting.metric].title,
            setting.figure,
            setting.official or "-",
            result.spread.text if result else "-",
            f"{result.runs if result else 0} of {setting.seeds}",
            setting.accept or "-",
            verdict_of(benchmark, setting, results),
        ]


def verdict_of(benchmark: str, setting: Setting, results: Results) -> str:
    """The verdict on a recorded result, or ``UNKNOWN``."""
    result = results.get(key_of(benchmark, setting))
    return verdict(setting, result.spread) if result else UNKNOWN


def reproduced_by(results: Results) -> dict[tuple[str, str], list[str]]:
    """The tables in which a method reaches its figures, by kind and name of the method.

    A table is named if a figure of the method passes: ``lff_coloured_mnist``, or
    ``lff_coloured_mnist (3 of 8)`` if only some figures pass. Only results of all seeds count.
    """
    counts: dict[tuple[str, str], dict[str, list[bool]]] = {}
    for benchmark, settings in BENCHMARKS.items():
        for setting in settings:
            if _complete(benchmark, setting, results):
                passed = verdict_of(benchmark, setting, results) == PASS
                method = method_of(setting)
                counts.setdefault(method, {}).setdefault(benchmark, []).append(passed)
    return {
        method: [_share(table, passed) for table, passed in tables.items() if any(passed)]
        for method, tables in counts.items()
    }


def _complete(benchmark: str, setting: Setting, results: Results) -> bool:
    """Whether a recorded result is that of all seeds."""
    result = results.get(key_of(benchmark, setting))
    return result is not None and int(result.runs) >= setting.seeds


def method_of(setting: Setting) -> tuple[str, str]:
    """Kind and name of the method that a setting trains.

    It is the recipe, or the strategy, sampler or augmentation that is not the default; ERM if all
    are defaults.
    """
    varied = [f"{key}={value}" for key, value in setting.varied.items()]
    config, default = configs.load(setting.config, varied), configs.Config()
    for kind in ("recipe", "strategy", "augment", "sampler"):
        name = getattr(config, kind)["name"]
        if name != getattr(default, kind)["name"]:
            return kind, name
    return "strategy", config.strategy["name"]


def _share(table: str, passed: Sequence[bool]) -> str:
    return f"`{table}`" + ("" if all(passed) else f" ({sum(passed)} of {len(passed)})")


def _hours(benchmark: str, known: Sequence[Setting], results: Results) -> str:
    """Hours of the distinct runs: figures of one setting share theirs."""
    hours = {}
    for setting in known:
        key = key_of(benchmark, setting)
        hours[key[:-1]] = results[key].cpu_hours
    if not hours or not all(hours.values()):
        return UNKNOWN if not hours else "-"
    return f"{sum(map(float, hours.values())):.1f} CPU-hours"
