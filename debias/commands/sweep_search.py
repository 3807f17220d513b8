"""``debias sweep search``: search on validation, then train the best on fresh seeds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock

from debias.errors import InputError

if TYPE_CHECKING:
    from debias.sweeps.plan import Plan
    from debias.sweeps.search.outcome import Pairs
    from debias.sweeps.search.planning import SearchPlan
    from debias.sweeps.search.pruning import WatchedTrain


def prepare_search(source: str, overrides: Sequence[str]) -> tuple[SearchPlan, Callable[..., None]]:
    """The checked search of a sweep file, and the launcher with its options.

    Raises:
        ValueError: something is wrong with the file, a config or an option, or with the protocol
            that it declares.
    """
    from debias.sweeps.checks import check
    from debias.sweeps.launchers import launcher
    from debias.sweeps.launchers.local import Local
    from debias.sweeps.protocol import check_runs
    from debias.sweeps.search.planning import plan_search

    _need_optuna()
    launch, rest = launcher(overrides)
    if not isinstance(launch, Local):
        raise InputError(
            "a search runs on the machine of the command, launcher=local: on a cluster submit the "
            "command itself, several times if you like, with storage=URL of a PostgreSQL database "
            "and workers=1"
        )
    planned = plan_search(Path(source), rest)
    runs = planned.check_runs()
    check(runs)
    check_runs(planned.sweep.labels, runs)
    return planned, launch


def search(planned: SearchPlan, launch: Callable[..., None], train: WatchedTrain) -> Plan:
    """Try settings until there are as many trials as the file asks for; the runs of the chosen ones
    on fresh seeds.

    Args:
        planned: what is searched.
        launch: trains runs.
        train: trains one.

    Raises:
        ValueError: the database cannot be opened or is of another search, or no trial of a config
            is done.
        SystemExit: code 130 if the search was stopped.
    """
    from debias.sweeps.search.outcome import chosen, lines, write_trials
    from debias.sweeps.search.planning import PRUNERS
    from debias.sweeps.search.pruning import PrunedTraining
    from debias.sweeps.search.trials import SearchProgress, Trials

    url, pairs = _studies(planned)
    section, objectives = planned.section, planned.section.objectives
    training = (
        PrunedTraining(train, section, url, _names(planned)) if PRUNERS[section.prune] else train
    )
    trials = Trials(pairs, objectives, planned.sweep.labels)
    try:
        with SearchProgress(trials) as progress:
            launch(trials, training, progress)
    except KeyboardInterrupt:
        print("stopped; the same command goes on where it stopped")
        raise SystemExit(130) from None
    finally:
        write_trials(planned.out / "trials.csv", pairs, objectives)
    print("\n".join(lines(pairs, objectives)))
    return planned.finals(chosen(planned, pairs))


def _need_optuna() -> None:
    try:
        import optuna  # noqa: F401
    except ImportError as error:
        raise InputError(
            f"debias sweep search needs Optuna ({error}): pip install 'debias-vision[search]'"
        ) from error


def _names(planned: SearchPlan) -> dict[str, str]:
    return {tuned.source: f"{planned.out}: {tuned.source}" for tuned in planned.tuned}


def _studies(planned: SearchPlan) -> tuple[str, Pairs]:
    from debias.sweeps.search.study import Study, open_study

    planned.out.mkdir(parents=True, exist_ok=True)
    url, section = (
        planned.section.storage or f"sqlite:///{planned.out / 'search.db'}",
        planned.section,
    )
    pairs = []
    with FileLock(planned.out / "search.lock"):  # its tables are made by one command
        for tuned in planned.tuned:
            epochs, definition = planned.base(tuned).epochs, planned.definition(tuned)
            name = _names(planned)[tuned.source]
            study = open_study(url, name, section, epochs=epochs, definition=definition)
            pairs.append((tuned, Study(study, tuned.space, section, planned.trials(tuned))))
    return url, pairs
