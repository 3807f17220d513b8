"""``debias reproduce``: run a benchmark's published settings, and compare the results."""

from debias.commands.sweep import describe, train_left
from debias.sweeps.checks import check
from debias.sweeps.files import left
from debias.sweeps.launchers import launcher
from debias.sweeps.reproduce import cost_lines, reproduction, result_lines


def run(benchmark: str, overrides: list[str], strategies: str, dry_run: bool) -> None:
    """Train the unfinished runs of a benchmark; print PASS or the difference of each setting.

    Args:
        benchmark: one of ``published.BENCHMARKS``.
        overrides: ``key=value``: options of the launcher, ``seeds``, ``out``, and settings for
            every run.
        strategies: names of settings, separated by commas; "" means all.
        dry_run: only print the expected cost, and the number of finished runs.

    Raises:
        ValueError: a name or an option has a mistake; no run has been started then.
        SystemExit: code 1 if a run failed, 130 if the command was stopped.
    """
    launch, rest = launcher(overrides)
    names = [name for name in strategies.split(",") if name]
    planned, reproduced = reproduction(benchmark, rest, names=names)
    if dry_run:
        print("\n".join([*cost_lines(benchmark, planned, reproduced), describe(planned)]))
        return
    check(planned.runs)
    train_left(planned, launch)
    print("\n".join(result_lines(reproduced)))
    if left(planned.runs):
        raise SystemExit(1)
