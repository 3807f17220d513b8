"""``debias reproduce``: run a benchmark's published settings, and compare the results."""

from collections.abc import Callable
from pathlib import Path

from debias.commands.sweep import describe, train_left
from debias.errors import InputError, check_positive
from debias.merging import taken
from debias.sweeps.checks import check
from debias.sweeps.files import left
from debias.sweeps.launchers import launcher
from debias.sweeps.launchers.local import Local
from debias.sweeps.plan import Plan
from debias.sweeps.reproduce import reproduction, row_by_row
from debias.sweeps.reproducing.prices import cost_lines, prices
from debias.sweeps.reproducing.results import record_results
from debias.sweeps.reproducing.verdicts import result_lines


def run(benchmark: str, overrides: list[str], strategies: str, dry_run: bool, report: bool) -> None:
    """Train the unfinished runs of a benchmark; print PASS or the difference of each setting.

    Args:
        benchmark: one of ``published.BENCHMARKS``.
        overrides: ``key=value``: options of the launcher, ``seeds``, ``out``, and settings for
            every run; ``results``, a CSV file for the results; for ``dry_run``, also
            ``images_per_second`` of another machine. With ``minutes``, the settings with the fewest
            images to process come first.
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
    names = [name for name in strategies.split(",") if name]
    planned, reproduced = reproduction(benchmark, rest, names=names)
    minutes = _minutes(launch)
    if dry_run:
        given = _number(speed)
        found = prices(benchmark, planned, reproduced, images_per_second=given or None)
        lines = [*cost_lines(found, minutes=minutes, speed=given), *_root_lines(planned)]
        print("\n".join([*lines, describe(planned)]))
        return
    if speed:
        raise InputError(f"images_per_second={speed} is for an estimate: add --dry-run")
    code = 0
    if not report:
        check(planned.runs)
        ordered = row_by_row(benchmark, planned, reproduced) if minutes else planned
        code = train_left(ordered, launch)
    print("\n".join(result_lines(reproduced)))
    if results:
        record_results(Path(results), benchmark, reproduced)
    if code and left(planned.runs):
        raise SystemExit(code)


def _minutes(launch: Callable[..., None]) -> float | None:
    return launch.minutes if isinstance(launch, Local) else None


def _number(speed: str) -> float:
    try:
        number = float(speed or 1)
    except ValueError:
        raise InputError(f"images_per_second must be a number; got {speed}") from None
    check_positive({"images_per_second": number})
    return number if speed else 0.0


def _root_lines(planned: Plan) -> list[str]:
    """One line per folder of data that training would not find."""
    roots = dict.fromkeys(run.config.data.get("root") for run in planned.runs)
    return [
        "data.root is not set: add data.root=PATH, the folder of the data, to train"
        if root is None
        else f"data.root={root} does not exist: put the data there, or correct the path, to train"
        for root in roots
        if root is None or not Path(root).exists()
    ]
