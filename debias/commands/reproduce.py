"""``debias reproduce``: runs a benchmark's published settings and compares the results."""

from debias.commands.sweep import describe, train_left
from debias.sweeps.checks import check
from debias.sweeps.files import left
from debias.sweeps.launchers import launcher
from debias.sweeps.reproduce import cost_lines, reproduction, result_lines


def run(benchmark: str, overrides: list[str], strategies: str, dry_run: bool) -> None:
    """Run what is not done of a benchmark's settings; print PASS or the difference of each.

    Args:
        benchmark: one of ``published.BENCHMARKS``.
        overrides: ``key=value``: options of the launcher, ``seeds``, ``out``, and what is the same
            for every run.
        strategies: names of settings with commas between them; "" is all.
        dry_run: only say what it would cost, and what there is already.

    Raises:
        ValueError: something is wrong with a name or an option; nothing has run then.
        SystemExit: code 1 if a run failed, 130 if it was stopped.
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
