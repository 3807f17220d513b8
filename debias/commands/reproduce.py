"""``debias reproduce``: run a benchmark's published settings, and compare the results."""

from collections.abc import Sequence
from pathlib import Path

from debias.commands.sweep import describe, train_left
from debias.errors import InputError, check_positive
from debias.merging import taken
from debias.sweeps.checks import absent_roots, check
from debias.sweeps.files import left
from debias.sweeps.launchers import Launcher, launcher
from debias.sweeps.launchers.local import Local
from debias.sweeps.plan import Plan
from debias.sweeps.reproduce import Reproduced, changes, reproduction, row_by_row
from debias.sweeps.reproducing.prices import cost_lines, prices
from debias.sweeps.reproducing.results import read_results, record_results
from debias.sweeps.reproducing.verdicts import result_lines
from debias.sweeps.savings import savings, shared_first


def run(benchmark: str, overrides: list[str], strategies: str, dry_run: bool, report: bool) -> None:
    """Train the unfinished runs of a benchmark; print PASS or the difference of each setting.

    Args:
        benchmark: one of ``published.BENCHMARKS``.
        overrides: ``key=value``: options of the launcher, ``seeds``, ``out``, and settings for
            every run; ``results``, a CSV file for the results of published settings; for
            ``dry_run``, also ``images_per_second`` of another machine. With ``minutes``, the
            settings with the fewest images to process come first.
        strategies: names of settings, separated by commas; "" means all.
        dry_run: only print the expected cost, the number of finished runs, and whether the folder
            of the data is absent.
        report: only print and record the results of the finished runs.

    Raises:
        ValueError: a name or an option has a mistake; no run has been started then.
        SystemExit: code 1 if a run failed, ``sweep.MORE`` if the minutes are over before the last
            run, 130 if the command was stopped.
    """
    launch, rest = launcher(overrides)
    speed, rest = taken(rest, "images_per_second", "")
    results, rest = taken(rest, "results", "")
    names = [name for text in strategies.split(",") if (name := text.strip())]
    planned, reproduced = reproduction(benchmark, rest, names=names)
    changed = " ".join(changes(rest))
    if results:
        _check_results(Path(results), changed)
    if dry_run:
        _show_prices(benchmark, planned, reproduced, minutes=_minutes(launch), speed=speed)
        return
    if speed:
        raise InputError(f"images_per_second={speed} is for an estimate: add --dry-run")
    code = 0
    if not report:
        launch.prepare()
        check(planned.runs)
        if "data.name=" not in changed and (absent := absent_roots(left(planned.runs))):
            raise InputError(absent[0])
        ordered = planned._replace(runs=shared_first(planned.runs))
        if _minutes(launch):
            ordered = row_by_row(benchmark, planned, reproduced)
        code = train_left(ordered, launch)
    print("\n".join(result_lines(reproduced)))
    if changed:
        print(f"Not the published settings: every run has {changed}.")
    if results:
        record_results(Path(results), benchmark, reproduced)
    if code and left(planned.runs):
        raise SystemExit(code)


def _show_prices(
    benchmark: str,
    planned: Plan,
    reproduced: Sequence[Reproduced],
    *,
    minutes: float | None,
    speed: str,
) -> None:
    given = _number(speed)
    found = prices(benchmark, planned, reproduced, images_per_second=given or None)
    lines = [*cost_lines(found, minutes=minutes, speed=given), *absent_roots(planned.runs)]
    print("\n".join([*lines, *savings(planned.runs).lines, describe(planned)]))


def _check_results(path: Path, changed: str) -> None:
    """Refuse results that could not be written after the runs, or are not of published settings."""
    if changed:
        raise InputError(
            f"results={path} is for the published settings only: leave out results=, or {changed}"
        )
    if path.is_dir():
        raise InputError(f"results={path} is a folder: give a CSV file, as in results=results.csv")
    read_results(path)


def _minutes(launch: Launcher) -> float | None:
    return launch.minutes if isinstance(launch, Local) else None


def _number(speed: str) -> float:
    try:
        number = float(speed or 1)
    except ValueError:
        raise InputError(f"images_per_second must be a number; got {speed}") from None
    check_positive({"images_per_second": number})
    return number if speed else 0.0
