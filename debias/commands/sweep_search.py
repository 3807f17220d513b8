"""``debias sweep search``: search settings on validation, then train the best with new seeds."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from filelock import FileLock

from debias.commands.sweep import ended_by_ctrl_c, run_sweep
from debias.commands.train import train
from debias.errors import InputError
from debias.sweeps.checks import check, check_here
from debias.sweeps.launchers import launcher
from debias.sweeps.launchers.local import Local
from debias.sweeps.launchers.worker import Train
from debias.sweeps.plan import Plan
from debias.sweeps.progress import Progress
from debias.sweeps.protocol import write_protocol
from debias.sweeps.search.outcome import chosen, lines, most_tried, write_trials
from debias.sweeps.search.planning import PRUNERS, SearchPlan, plan_search
from debias.sweeps.search.pruning import PrunedTraining
from debias.sweeps.search.study import Study, open_study
from debias.sweeps.search.trials import Trials


def run_search(source: str, overrides: Sequence[str]) -> None:
    """Search settings, train the best ones with new seeds, and print the table of these runs."""
    planned, launch = prepare_search(source, overrides)
    finals = search(planned, launch, train)
    # an earlier command may have run more trials than this one
    trials = most_tried(planned.out / "trials.csv")
    write_protocol(planned.out, replace(planned.protocol, trials=trials))
    run_sweep(finals, launch)


def prepare_search(source: str, overrides: Sequence[str]) -> tuple[SearchPlan, Local]:
    """Read and check the search of a sweep file, and make the launcher.

    Raises:
        ValueError: the file, a config, an option or the declared protocol has a mistake, or the
            launcher is not local.
    """
    launch, rest = launcher(overrides)
    if not isinstance(launch, Local):
        raise InputError(
            "a search needs launcher=local: on a cluster, submit this command itself, once or "
            "several times, with storage=URL of a PostgreSQL database and workers=1"
        )
    if launch.minutes is not None:
        raise InputError(
            "a search takes no minutes=. Stop it with Ctrl-C; the command continues it"
        )
    planned = plan_search(Path(source), rest)
    check(tried := planned.check_runs(), planned.sweep.labels)
    check_here(tried)
    planned.check_min_epochs()
    return planned, launch


def search(planned: SearchPlan, launch: Callable[..., None], train: Train) -> Plan:
    """Run trials up to the number in the sweep file, and plan the final runs of the best settings.

    Args:
        planned: the search.
        launch: the launcher, which trains the trials.
        train: trains one run.

    Returns:
        The runs of the best settings, with new seeds.

    Raises:
        ValueError: the database cannot be opened or belongs to another search, or no trial of a
            config is done.
        SystemExit: code 130 if the search was stopped.
    """
    section = planned.section
    url = section.storage or f"sqlite:///{planned.out / 'search.db'}"
    # a database of the user may have several searches; the file in the folder moves with it
    owner = f"{planned.out}: " if section.storage else ""
    names = {tuned.source: owner + tuned.source for tuned in planned.tuned}
    studies = _studies(planned, url, names)
    training = PrunedTraining(train, section, url, names) if PRUNERS[section.prune] else train
    trials = Trials(studies, planned.sweep.labels)
    try:
        with ended_by_ctrl_c(), Progress([], ended=trials.ended) as progress:
            launch(trials, training, progress)
    finally:
        write_trials(planned.out / "trials.csv", studies)
    print("\n".join(lines(studies)))
    return planned.finals(chosen(planned, studies))


def _studies(planned: SearchPlan, url: str, names: dict[str, str]) -> list[Study]:
    planned.out.mkdir(parents=True, exist_ok=True)
    section, studies = planned.section, []
    with FileLock(planned.out / "search.lock"):  # one command alone creates the tables
        for tuned in planned.tuned:
            epochs, definition = planned.base(tuned).epochs, planned.definition(tuned)
            name = names[tuned.source]
            study = open_study(url, name, section, epochs=epochs, definition=definition)
            studies.append(Study(study, tuned, section, planned.trials(tuned)))
    return studies
