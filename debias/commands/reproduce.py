"""``debias reproduce``: run a benchmark's published settings, and compare the results."""

from pathlib import Path

from debias.commands.sweep import describe, train_left
from debias.sweeps.checks import check
from debias.sweeps.files import left
from debias.sweeps.launchers import launcher
from debias.sweeps.plan import Plan
from debias.sweeps.reproduce import cost_lines, reproduction, result_lines


def run(benchmark: str, overrides: list[str], strategies: str, dry_run: bool) -> None:
    """Train the unfinished runs of a benchmark; print PASS or the difference of each setting.

    Args:
        benchmark: one of ``published.BENCHMARKS``.
        overrides: ``key=value``: options of the launcher, ``seeds``, ``out``, and settings for
            every run.
        strategies: names of settings, separated by commas; "" means all.
        dry_run: only print the expected cost, the number of finished runs, and whether the folder
            of the data is absent.

    Raises:
        ValueError: a name or an option has a mistake; no run has been started then.
        SystemExit: code 1 if a run failed, 130 if the command was stopped.
    """
    launch, rest = launcher(overrides)
    names = [name for name in strategies.split(",") if name]
    planned, reproduced = reproduction(benchmark, rest, names=names)
    if dry_run:
        lines = [*cost_lines(benchmark, planned, reproduced), *_root_lines(planned)]
        print("\n".join([*lines, describe(planned)]))
        return
    check(planned.runs)
    train_left(planned, launch)
    print("\n".join(result_lines(reproduced)))
    if left(planned.runs):
        raise SystemExit(1)


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
