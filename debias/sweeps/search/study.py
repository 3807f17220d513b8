"""The trials of one config, in a database that commands share and that outlives them."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import optuna
from optuna.distributions import BaseDistribution
from optuna.exceptions import UpdateFinishedTrialError
from optuna.pruners import BasePruner, HyperbandPruner, NopPruner, SuccessiveHalvingPruner
from optuna.samplers import BaseSampler, TPESampler
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from debias.errors import InputError
from debias.sweeps.search.objectives import OBJECTIVES, pareto_front
from debias.sweeps.search.planning import Tuned
from debias.sweeps.search.space import points, readable, suggest
from debias.sweeps.sweep_file import Search

#: How a trial ended or stands, as tables name it.
STATES = {
    TrialState.COMPLETE: "done",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
    TrialState.RUNNING: "running",
}
#: A rung keeps the best third, and a run is first judged after a ninth of its epochs.
FACTOR, RUNGS = 3, 2


class Trial(NamedTuple):
    """A setting that is tried.

    Args:
        number: of the trial.
        settings: a value for every key of the space.
        state: "done", "pruned", "failed" or "running".
        values: of the objectives, where it is done.
        reason: why it failed.
    """

    number: int
    settings: dict[str, Any]
    state: str = "running"
    values: tuple[float, ...] = ()
    reason: str = ""


class Study:
    """Proposes trials, and records how they ended.

    Args:
        study: Optuna's.
        tuned: the config, with the space of its settings.
        section: how they are searched.
        wanted: trials in all.
    """

    def __init__(self, study: optuna.Study, tuned: Tuned, section: Search, wanted: int) -> None:
        self.study, self.tuned, self.section, self.wanted = study, tuned, section, wanted
        self.points = points(tuned.space, section.sampler, wanted, section.seed)

    def ask(self) -> Trial | None:
        """The next setting; ``None`` once there are as many trials as are wanted."""
        if len(self.study.get_trials(deepcopy=False)) >= self.wanted:
            return None
        number = self.study.ask().number
        if number >= self.wanted:  # another command was faster
            self.fail(number, "asked for by two commands at once, and not needed")
            return None
        return self._proposed(number)

    def unfinished(self) -> list[Trial]:
        """The trials that have not ended: of a stopped command, or of one that still works."""
        running = self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        return [self._proposed(trial.number) for trial in running]

    def note_runs(self, number: int, names: Sequence[str]) -> None:
        """Keep which runs a trial consists of, unless another command has ended it meanwhile."""
        with suppress(UpdateFinishedTrialError):
            reopened(self.study, number).set_user_attr("runs", list(names))

    def finish(self, number: int, values: Sequence[float]) -> None:
        """A trial is done."""
        self._end(number, list(values))

    def prune(self, number: int) -> None:
        """A trial was behind the others."""
        self._end(number, state=TrialState.PRUNED)

    def fail(self, number: int, reason: str) -> None:
        """A trial failed for good; the reason is kept."""
        with suppress(UpdateFinishedTrialError):
            reopened(self.study, number).set_user_attr("reason", reason)
        self._end(number, state=TrialState.FAIL)

    def _end(
        self, number: int, values: list[float] | None = None, state: TrialState | None = None
    ) -> None:
        """End a trial, unless another command ends it first, even after Optuna has looked."""
        with suppress(UpdateFinishedTrialError):
            self.study.tell(number, values, state=state, skip_if_finished=True)

    def trials(self) -> list[Trial]:
        """Every trial so far, by number."""
        return [self._read(trial) for trial in self.study.get_trials(deepcopy=False)]

    def best(self) -> list[Trial]:
        """The done trials that no other beats: with one objective, the first of the best."""
        done = [trial for trial in self.trials() if trial.state == "done"]
        front = pareto_front([trial.values for trial in done], self.section.objectives)
        return [done[place] for place in front]

    def _proposed(self, number: int) -> Trial:
        # a command may have been killed while it asked: what is there already stays
        self.study.sampler = sampler(self.points, seed=self.section.seed, number=number)
        values = suggest(reopened(self.study, number), self.tuned.space)
        return Trial(number, readable(values, self.tuned.space))

    def _read(self, trial: FrozenTrial) -> Trial:
        whole = trial.params.keys() >= self.tuned.space.keys()
        settings = readable(trial.params, self.tuned.space) if whole else {}
        values = tuple(trial.values or ()) if trial.state == TrialState.COMPLETE else ()
        reason = trial.user_attrs.get("reason", "")
        return Trial(trial.number, settings, STATES[trial.state], values, reason)


def open_study(
    url: str, name: str, section: Search, *, epochs: int, definition: str = ""
) -> optuna.Study:
    """Open a study, which is made if it is not there.

    Args:
        url: of the database.
        name: of the study.
        section: how settings are searched.
        epochs: of a whole run, for the pruner.
        definition: what must be the same whenever it is opened; empty takes it as it is.

    Raises:
        ValueError: the database cannot be opened, or the study is of another search.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    signs = {True: StudyDirection.MAXIMIZE, False: StudyDirection.MINIMIZE}
    try:
        storage = optuna.storages.RDBStorage(url, engine_kwargs=_connecting(url))
        study = optuna.create_study(
            storage=storage,
            study_name=name,
            load_if_exists=True,
            directions=[signs[OBJECTIVES[entry].maximize] for entry in section.objectives],
            pruner=pruner(section.prune, epochs),
            sampler=Listed([]),
        )
    except (ImportError, ArgumentError, SQLAlchemyError) as error:
        why = str(error).splitlines()[0]
        raise InputError(f"search.storage {_readable(url)} cannot be opened: {why}") from error
    before = study.user_attrs.get("definition", definition)
    if definition and before != definition:
        raise InputError(
            f"{name} was searched otherwise before: give another out, or restore it; then {before}"
        )
    if definition:
        study.set_user_attr("definition", definition)
    return study


def _readable(url: str) -> str:
    """A URL without its password; any other text as it is."""
    try:
        return make_url(url).render_as_string()
    except ArgumentError:
        return repr(url)


def reopened(study: optuna.Study, number: int) -> optuna.Trial:
    """A trial that was asked for earlier, perhaps by another process."""
    return optuna.Trial(study, study.get_trials(deepcopy=False)[number]._trial_id)


def _connecting(url: str) -> dict[str, Any]:
    # seconds for which a process waits while another writes the file
    patience = {"connect_args": {"timeout": 60}} if url.startswith("sqlite") else {}
    # trials are minutes apart: no connection is held between them
    return {"poolclass": NullPool, **patience}


class Listed(BaseSampler):
    """Proposes the settings of a list, by the number of the trial.

    Numbers are given out by the database, so that no two commands try the same setting. (Optuna's
    own sampler of grids may give one to both.)

    Args:
        points: for each trial a value for every key.
    """

    def __init__(self, points: Sequence[Mapping[str, Any]]) -> None:
        self.points = points

    def infer_relative_search_space(
        self, study: optuna.Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """Nothing: no value depends on others."""
        return {}

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Nothing."""
        return {}

    def sample_independent(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """The value of a key in the list."""
        return self.points[trial.number][param_name]


def sampler(points: Sequence[Mapping[str, Any]] | None, *, seed: int, number: int) -> BaseSampler:
    """What proposes a trial.

    Args:
        points: the settings of every trial; ``None`` lets the tree-structured Parzen estimator
            (Bergstra et al., 2011) learn from the trials so far.
        seed: of the search.
        number: of the trial. The estimator's random numbers follow from it. Otherwise every command
            would propose what the command before it did.
    """
    return TPESampler(seed=seed * 1_000_003 + number) if points is None else Listed(points)


def pruner(name: str, epochs: int) -> BasePruner:
    """What judges runs after an epoch.

    ``asha`` is asynchronous successive halving (Li et al., 2020) and ``hyperband`` (Li et al.,
    2018) several of these which begin to judge later, so that some trials are never stopped early.

    Args:
        name: "none", "asha" or "hyperband".
        epochs: of a whole run.
    """
    first = max(1, epochs // FACTOR**RUNGS)
    if name == "asha":
        return SuccessiveHalvingPruner(min_resource=first, reduction_factor=FACTOR)
    if name == "hyperband":
        return HyperbandPruner(min_resource=first, max_resource=epochs, reduction_factor=FACTOR)
    return NopPruner()
