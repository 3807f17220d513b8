"""``debias sweep``: many runs from one file; which they are, running them, and what came back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from debias.config import EXECUTION
from debias.sweeps.plan import Plan


def run(action: str, source: str, overrides: list[str]) -> None:
    """Say which runs a sweep file stands for, run those that are not done, or print the table of a sweep's folder.

    Args:
        action: "plan", "run" or "report".
        source: the sweep file; for "report", the folder of the sweep.
        overrides: ``key=value``: options of the launcher, and what is the same for every run.

    Raises:
        ValueError: something is wrong with the file, a config or an option; nothing has run then.
        SystemExit: code 1 if a run failed, 130 if the sweep was stopped.
    """
    if action == "report":
        show_report(source, overrides)
        return
    planned, launch = prepare(source, overrides)
    if action == "plan":
        show_plan(planned)
    else:
        run_sweep(planned, launch)


def prepare(source: str, overrides: list[str]) -> tuple[Plan, Callable[..., None]]:
    """The checked runs of a sweep file, and the launcher with its options.

    Raises:
        ValueError: something is wrong with the file, a config or an option.
    """
    from debias.sweeps.checks import check
    from debias.sweeps.launchers import launcher
    from debias.sweeps.plan import plan

    launch, rest = launcher(overrides)
    planned = plan(Path(source), rest)
    check(planned.runs)
    return planned, launch


def show_plan(planned: Plan) -> None:
    """Print a line for each run, and what the runs that are left are expected to cost."""
    from debias.sweeps.files import files_of

    for entry in planned.runs:
        print(f"{files_of(entry).status():11}  {entry.name}  {entry.settings}")
    for note in planned.merged:
        print(f"merged: {note}")
    print(describe(planned))


def run_sweep(planned: Plan, launch: Callable[..., None]) -> None:
    """Run what is not done, and print the table of the sweep."""
    from debias.commands.train import train
    from debias.sweeps.files import left, write_plan
    from debias.sweeps.progress import Progress

    write_plan(planned)
    print(describe(planned))
    try:
        with Progress(planned.runs) as progress:
            launch(left(planned.runs), train, progress)
    except KeyboardInterrupt:
        print("stopped; the same command goes on where it stopped")
        raise SystemExit(130) from None
    show_report(str(planned.out), [])
    if left(planned.runs):
        raise SystemExit(1)


def show_report(folder: str, overrides: list[str]) -> None:
    """Print the comparison of the runs that are done, and how many failed or are missing.

    Raises:
        ValueError: the folder holds no sweep.
    """
    from debias.sweeps.report import markdown

    if overrides:
        raise ValueError(f"sweep report takes a folder only; got {' '.join(overrides)}")
    print(markdown(Path(folder), ignore=EXECUTION))


def describe(planned: Plan) -> str:
    """How many runs there are, how many are left, and what these cost where that is known."""
    from debias.sweeps.cost import costs_of, duration
    from debias.sweeps.files import left

    costs, rest = costs_of(planned.runs), left(planned.runs)
    known = [cost for cost in map(costs.expected, rest) if cost is not None]
    line = f"{planned.out}: {len(planned.runs)} runs, {len(rest)} left"
    return line + (f"; about {duration(sum(known))} of computing for {len(known)} of these" if known else "")
