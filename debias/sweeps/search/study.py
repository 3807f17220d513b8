"""The study of one config: its trials in a database, which several commands can share."""

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
from debias.sweeps.search.halving import first_check
from debias.sweeps.search.objectives import OBJECTIVES, pareto_front
from debias.sweeps.search.planning import PRUNERS, Tuned
from debias.sweeps.search.space import points, readable, suggest
from debias.sweeps.sweep_file import Search

#: The state of a trial, as tables name it.
STATES = {
    TrialState.COMPLETE: "done",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
    TrialState.RUNNING: "running",
}
#: Attribute of a trial: why it failed or was pruned, or why a run of an open trial failed.
REASON = "reason"
#: Attribute of a trial that two commands started at once beyond the number of trials.
SURPLUS = "surplus"


class Trial(NamedTuple):
    """One setting that the search tries, and its result.

    Args:
        number: number of the trial in its study.
        settings: a value for every key of the space.
        state: "done", "pruned", "failed" or "running".
        values: the objective values if it is done, otherwise empty.
        reason: why it failed or was pruned; otherwise empty.
    """

    number: int
    settings: dict[str, Any]
    state: str = "running"
    values: tuple[float, ...] = ()
    reason: str = ""


class Study:
    """Proposes the trials of one config, and records how they ended.

    Args:
        study: the Optuna study.
        tuned: the config, with its search space.
        section: the section ``search`` of the sweep file.
        count: total number of trials.
    """

    def __init__(self, study: optuna.Study, tuned: Tuned, section: Search, count: int) -> None:
        self.study, self.tuned, self.section, self.count = study, tuned, section, count
        self.points = points(tuned.space, section.sampler, count, section.seed)

    def ask(self) -> Trial | None:
        """Start the next trial. ``None`` if the study already has all its trials."""
        if len(self.study.get_trials(deepcopy=False)) >= self.count:
            return None
        number = self.study.ask().number
        if number >= self.count:  # another command started the last trial at the same time
            reopened(self.study, number).set_user_attr(SURPLUS, True)
            self._end(number, state=TrialState.FAIL)
            return None
        return self._proposed(number)

    def unfinished(self, *, failed: bool) -> list[Trial]:
        """The trials that have not ended: of stopped commands, and of commands that still work.

        Args:
            failed: whether those with a failed run are among them.
        """
        running = self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        return [self._proposed(trial.number) for trial in running if failed or not _reason(trial)]

    def note_runs(self, number: int, names: Sequence[str]) -> None:
        """Record the names of a trial's runs, unless another command has already ended it.

        The runs start now: the reason of an earlier failure is removed.
        """
        trial = reopened(self.study, number)
        with suppress(UpdateFinishedTrialError):
            trial.set_user_attr("runs", list(names))
            if REASON in trial.user_attrs:
                trial.set_user_attr(REASON, "")

    def run_failed(self, number: int, reason: str) -> None:
        """Record why a run of a trial failed. The trial stays open, so that the next command can
        train it again.
        """
        with suppress(UpdateFinishedTrialError):
            reopened(self.study, number).set_user_attr(REASON, reason)

    def finish(self, number: int, values: Sequence[float]) -> None:
        """Record that a trial is done, with its objective values."""
        self._end(number, list(values))

    def prune(self, number: int, reason: str) -> None:
        """Record that a trial was stopped early because it was behind the others, and where."""
        self._end(number, state=TrialState.PRUNED, reason=reason)

    def fail(self, number: int, reason: str) -> None:
        """Record that a trial failed and another attempt cannot help, and the reason."""
        self._end(number, state=TrialState.FAIL, reason=reason)

    def _end(
        self,
        number: int,
        values: list[float] | None = None,
        state: TrialState | None = None,
        reason: str = "",
    ) -> None:
        """End a trial, unless another command ends it first.

        The other command may end it after Optuna's own check, so the error is suppressed too.
        """
        with suppress(UpdateFinishedTrialError):
            if reason:
                reopened(self.study, number).set_user_attr(REASON, reason)
            self.study.tell(number, values, state=state, skip_if_finished=True)

    def trials(self) -> list[Trial]:
        """All trials so far, in the order of their numbers, without surplus ones."""
        every = self.study.get_trials(deepcopy=False)
        return [self._read(trial) for trial in every if SURPLUS not in trial.user_attrs]

    def best(self) -> list[Trial]:
        """The finished trials on the Pareto front; with one objective, the first of the best."""
        done = [trial for trial in self.trials() if trial.state == "done"]
        front = pareto_front([trial.values for trial in done], self.section.objectives)
        return [done[place] for place in front]

    def _proposed(self, number: int) -> Trial:
        # a command may have been killed while proposing: values that were already proposed are kept
        self.study.sampler = sampler(self.points, seed=self.section.seed, number=number)
        values = suggest(reopened(self.study, number), self.tuned.space)
        return Trial(number, readable(values, self.tuned.space))

    def _read(self, trial: FrozenTrial) -> Trial:
        settings = readable(trial.params, self.tuned.space)
        values = tuple(trial.values or ()) if trial.state == TrialState.COMPLETE else ()
        reason = "" if trial.state == TrialState.COMPLETE else _reason(trial)
        failed = reason and trial.state == TrialState.RUNNING
        state = "failed" if failed else STATES[trial.state]
        return Trial(trial.number, settings, state, values, reason)


def open_study(
    url: str, name: str, section: Search, *, epochs: int, definition: str = ""
) -> optuna.Study:
    """Open a study in a database, and create it if it does not exist.

    Args:
        url: URL of the database.
        name: name of the study.
        section: the section ``search`` of the sweep file.
        epochs: number of epochs of a complete run, for the pruner.
        definition: text that must be the same each time the study is opened, see
            ``SearchPlan.definition``. An empty text is not compared.

    Raises:
        ValueError: the database cannot be opened, or the study has another definition.
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
            pruner=pruner(section, epochs),
            sampler=Listed([]),
        )
    except (ImportError, ArgumentError, SQLAlchemyError) as error:
        why = str(error).splitlines()[0]
        raise InputError(f"search.storage {_readable(url)} cannot be opened: {why}") from error
    before = study.user_attrs.get("definition", definition)
    if definition and before != definition:
        raise InputError(
            f"{name} was started with another search. Use a new `out` folder, or restore the "
            f"search; it was {before}"
        )
    if definition:
        study.set_user_attr("definition", definition)
    return study


def _readable(url: str) -> str:
    """Hide the password in a URL. A text that is no URL is returned in quotes."""
    try:
        return make_url(url).render_as_string()
    except ArgumentError:
        return repr(url)


def _reason(trial: FrozenTrial) -> str:
    """Why a trial failed or was pruned, or why its last run failed; otherwise empty."""
    return str(trial.user_attrs.get(REASON, ""))


def reopened(study: optuna.Study, number: int) -> optuna.Trial:
    """Get an Optuna trial that was started earlier, perhaps by another process."""
    return optuna.Trial(study, study.get_trials(deepcopy=False)[number]._trial_id)


def _connecting(url: str) -> dict[str, Any]:
    # seconds that a process waits while another writes the file
    patience = {"connect_args": {"timeout": 60}} if url.startswith("sqlite") else {}
    # trials are minutes apart, so no connection stays open between them
    return {"poolclass": NullPool, **patience}


class Listed(BaseSampler):
    """An Optuna sampler that proposes the settings of a list, by the number of the trial.

    The database assigns the numbers, so that no two commands try the same setting. (Optuna's own
    grid sampler may propose one setting to both.)

    Args:
        points: one dictionary per trial, with a value for every key.
    """

    def __init__(self, points: Sequence[Mapping[str, Any]]) -> None:
        self.points = points

    def infer_relative_search_space(
        self, study: optuna.Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """Return an empty space, because no value depends on another."""
        return {}

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Return no values; see :meth:`infer_relative_search_space`."""
        return {}

    def sample_independent(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """Return the value of one key for a trial, from the list."""
        return self.points[trial.number][param_name]


def sampler(points: Sequence[Mapping[str, Any]] | None, *, seed: int, number: int) -> BaseSampler:
    """Make the Optuna sampler that proposes one trial.

    Args:
        points: the settings of all trials. If ``None``, the tree-structured Parzen estimator
            (Bergstra et al., 2011) learns from the trials so far.
        seed: seed of the search.
        number: number of the trial. The estimator's random numbers depend on it. Otherwise every
            command would repeat the proposals of the command before it.
    """
    return TPESampler(seed=seed * 1_000_003 + number) if points is None else Listed(points)


def pruner(section: Search, epochs: int) -> BasePruner:
    """Make the Optuna pruner that decides after an epoch whether to stop a run.

    ``asha`` is asynchronous successive halving (Li et al., 2020). ``hyperband`` (Li et al., 2018)
    uses several of these. Some of them start later, so that some trials are never stopped early.
    Optuna has none for several objectives; see :mod:`debias.sweeps.search.halving`.

    Args:
        section: the section ``search`` of the sweep file.
        epochs: number of epochs of a complete run.
    """
    first = first_check(section, epochs)
    if not PRUNERS[section.prune] or len(section.objectives) > 1:
        return NopPruner()
    if section.prune == "asha":
        return SuccessiveHalvingPruner(min_resource=first, reduction_factor=section.factor)
    return HyperbandPruner(min_resource=first, max_resource=epochs, reduction_factor=section.factor)
