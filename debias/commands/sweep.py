"""``debias sweep``: plan, run, search or report the runs of one sweep file."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from debias.commands.train import train
from debias.config import EXECUTION
from debias.errors import InputError
from debias.files import write_atomically
from debias.imports import fast_imports
from debias.merging import taken
from debias.progress import duration
from debias.storage.results import results_folder
from debias.sweeps.backbones import train_in_waves
from debias.sweeps.checks import check, check_here
from debias.sweeps.cost import costs_of
from debias.sweeps.files import files_of, left, write_plan
from debias.sweeps.launchers import Launcher, launcher
from debias.sweeps.launchers.local import Local
from debias.sweeps.launchers.pieces import OutOfTime
from debias.sweeps.plan import Plan, plan
from debias.sweeps.progress import Progress
from debias.sweeps.protocol import Protocol, write_protocol
from debias.sweeps.savings import savings, shared_first
from debias.sweeps.status import status_lines, watch_status
from debias.sweeps.stored import bring_results, send_finished, send_plan

#: Exit code if the minutes are over before the last run: the same command continues. It is the
#: ``EX_TEMPFAIL`` of sysexits.
MORE = 75


def run(action: str, source: str, overrides: list[str]) -> None:
    """List the runs of a sweep file, train the unfinished ones, search settings, or print results.

    Args:
        action: "plan", "run", "search", "status" or "report".
        source: the sweep file; for "status" and "report", the folder of the sweep.
        overrides: ``key=value``: options of the launcher, and settings for every run; for "report",
            the options of :func:`show_report`.

    Raises:
        ValueError: the file, a config or an option has a mistake; no run has been started then.
        SystemExit: code 1 if a run failed, ``MORE`` if the minutes are over before the last run,
            130 if the sweep was stopped.
    """
    if action == "report":
        show_report(source, overrides)
        return
    if action == "status":
        show_status(source, overrides)
        return
    if action == "search":
        _need_optuna()
        from debias.commands.sweep_search import run_search

        run_search(source, overrides)
        return
    launch, rest = launcher(overrides)
    planned = plan(Path(source), rest)
    if action == "run" and left(planned.runs):
        launch.prepare()
    with fast_imports():
        check(planned.runs, planned.labels)
    bring_results(planned)
    planned = planned._replace(runs=shared_first(planned.runs))
    if action == "plan":
        show_plan(planned)
    else:
        if isinstance(launch, Local):  # without the runs that other machines have finished
            check_here(left(planned.runs))
        write_protocol(planned.out, Protocol(planned.labels) if planned.labels else None)
        run_sweep(planned, launch)


def show_plan(planned: Plan) -> None:
    """Print one line per run, what sharing saves, and the expected cost of the unfinished runs."""
    for entry in planned.runs:
        print(f"{files_of(entry).status():11}  {entry.name}  {entry.settings}")
    for note in planned.merged:
        print(f"merged: {note}")
    print("\n".join([*savings(planned.runs).lines, describe(planned)]))


def run_sweep(planned: Plan, launch: Launcher) -> None:
    """Train the unfinished runs, and print the table of the sweep.

    Raises:
        SystemExit: code 1 if a run failed, ``MORE`` if the minutes are over before the last run,
            130 if the sweep was stopped.
    """
    code = train_left(planned, launch)
    show_report(str(planned.out), [])
    if left(planned.runs):
        raise SystemExit(code)


def train_left(planned: Plan, launch: Launcher) -> int:
    """Train the unfinished runs of a plan. Runs on a backbone start after the backbone's run.

    Args:
        planned: the plan.
        launch: the launcher.

    Returns:
        The exit code if a run is left: 1, or ``MORE`` if the minutes of the launcher are over.

    Raises:
        SystemExit: code 130 if the sweep was stopped.
        ValueError: object storage does not take the last files of a run.
    """
    write_plan(planned)
    send_plan(planned)
    print(describe(planned))
    try:
        with ended_by_ctrl_c(), Progress(planned.runs) as progress:
            train_in_waves(
                planned.runs,
                lambda runs: launch(runs, train, progress),
                lambda run, reason: progress.failed(run, reason, again=False),
            )
        send_finished(planned)
    except OutOfTime as end:
        print(f"stopped, {end}; run the same command again to continue")
        return MORE
    return 1


def show_report(folder: str, overrides: list[str]) -> None:
    """Print or write the results of a sweep, finished or not.

    Args:
        folder: folder of the sweep, or its URL.
        overrides: ``format=`` markdown, latex, csv or html, and ``out=FILE``. Without ``out``, a
            table is printed, and an HTML page is written into the folder.

    Raises:
        ValueError: the folder holds no sweep, or an option or the format is unknown.
    """
    from debias.sweeps.report import results
    from debias.sweeps.report_formats import formatted

    folder = str(results_folder(folder))
    format, others = taken(overrides, "format", "markdown")
    out, others = taken(others, "out", None)
    if others:
        raise InputError(
            f"sweep report takes format= and out= beside the folder; got {' '.join(overrides)}"
        )
    target = out or (str(Path(folder) / "sweep.html") if format == "html" else None)
    table = results(Path(folder), ignore=EXECUTION)
    text = formatted(table, format, Path(target or folder).parent, EXECUTION)
    if target is None:
        print(text)
    else:
        write_atomically(Path(target), text + "\n")
        print(target)


def show_status(folder: str, overrides: list[str]) -> None:
    """Print what each run of a sweep's folder does now.

    Args:
        folder: folder of the sweep, or its URL.
        overrides: empty, or ``watch=true``, which refreshes the table until every run has ended.

    Raises:
        ValueError: the folder has no runs, or another override is given.
    """
    if overrides not in ([], ["watch=true"], ["watch=false"]):
        raise InputError(
            f"sweep status takes watch=true beside the folder; got {' '.join(overrides)}"
        )
    if overrides == ["watch=true"]:
        try:
            watch_status(results_folder(folder), refresh=lambda: results_folder(folder))
        except KeyboardInterrupt:
            raise SystemExit(130) from None
    else:
        print("\n".join(status_lines(results_folder(folder))))


def describe(planned: Plan) -> str:
    """One line: the number of runs, how many are left, and their expected cost, if known."""
    costs, rest = costs_of(planned.runs), left(planned.runs)
    expected = [cost for cost in map(costs.expected, rest) if cost is not None]
    line = f"{planned.out}: {len(planned.runs)} runs, {len(rest)} left"
    if not expected:
        return line
    return f"{line}; about {duration(sum(expected))} of computing for {len(expected)} of these"


@contextmanager
def ended_by_ctrl_c() -> Iterator[None]:
    """End the command with exit code 130 if Ctrl-C stops it."""
    try:
        yield
    except KeyboardInterrupt:
        print("stopped; run the same command again to continue")
        raise SystemExit(130) from None


def _need_optuna() -> None:
    try:
        import optuna  # noqa: F401
    except ImportError as error:
        raise InputError(
            f"debias sweep search needs Optuna ({error}): pip install 'debias-vision[search]'"
        ) from error
