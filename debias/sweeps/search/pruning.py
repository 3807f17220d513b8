"""Stop a run of a search early, at the end of an epoch, if it is behind the other runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from debias import config as configs
from debias.config import Config
from debias.sweeps.launchers.worker import Pruned
from debias.sweeps.search.objectives import of_history
from debias.sweeps.sweep_file import Search

if TYPE_CHECKING:
    from optuna import Trial

#: Attribute of a trial: the epoch after which the pruner ended its run.
ENDED = "ended"


@dataclass(frozen=True)
class PrunedTraining:
    """Trains a run of a trial, and ends it early if the study's pruner decides so.

    Args:
        train: ``debias.commands.train.train``, which calls its argument ``watch`` after each epoch.
        section: the section ``search`` of the sweep file.
        url: URL of the database.
        studies: the name of each config's study, by the name of the config.
    """

    train: Callable[..., Path]
    section: Search
    url: str
    studies: Mapping[str, str]

    def __call__(self, config: Config, *, resume: Path | None = None) -> Path:
        """Train, evaluate and report one run, and return its folder.

        Raises:
            Pruned: the pruner ended the run.
        """
        judge = judge_of(self.section, self.url, self.studies[config.name], config)
        return self.train(config, resume=resume, watch=judge)


def judge_of(
    section: Search, url: str, name: str, config: Config
) -> Callable[[Sequence[dict[str, Any]]], None] | None:
    """Make the judge of a run, which ends it after an epoch if it is behind.

    ``None`` if no trial of the study has this run, because another command has ended it.

    Args:
        section: the section ``search`` of the sweep file.
        url: URL of the database.
        name: name of the study.
        config: config of the run.
    """
    from debias.sweeps.search.halving import FrontJudge
    from debias.sweeps.search.study import open_study, reopened

    study = open_study(url, name, section, epochs=config.epochs)
    run, trials = configs.run_name(config), study.get_trials(deepcopy=False)
    unfinished = [trial for trial in trials if not trial.state.is_finished()]
    own = [trial for trial in unfinished if run in trial.user_attrs.get("runs", ())]
    if not own:
        return None
    trial = reopened(study, own[0].number)
    if len(section.objectives) > 1:
        return FrontJudge(section, trial, config)
    return Judge(section.objectives[0], trial, config, max(own[0].intermediate_values, default=0))


class Judge:
    """Reports a run's objective to the study after each epoch, and ends the run if it is behind.

    The objective is that of the epoch which the run's own rule selects so far. Worst-group accuracy
    goes up and down, and a run is as good as its best epoch. After the last epoch, nothing is
    reported, because the run is then done.

    A run may be killed between its checkpoint and the report of an epoch, and between the decision
    and the file that records it. If it is resumed, the epochs without a decision are judged first,
    and a decision to end the run, which the trial keeps, ends it again.

    Args:
        objective: name of the objective.
        trial: the trial of the run.
        config: config of the run.
        reported: number of epochs that were reported before the run was resumed.
    """

    def __init__(self, objective: str, trial: Trial, config: Config, reported: int = 0) -> None:
        self.objective, self.trial, self.config = objective, trial, config
        self.reported, self.judged = reported, max(0, reported - 1)

    def __call__(self, history: Sequence[dict[str, Any]]) -> None:
        """Judge a run at all its epochs that are not judged yet.

        Args:
            history: one entry per epoch, with the validation metrics under ``val``.

        Raises:
            Pruned: the pruner ended the run.
        """
        for epoch in range(self.judged + 1, min(len(history), self.config.epochs - 1) + 1):
            self._judge(epoch, of_history(self.objective, history[:epoch], self.config.select))
            self.judged = epoch

    def _judge(self, epoch: int, value: float | None) -> None:
        if value is None:
            return
        if epoch > self.reported:
            self.trial.report(value, epoch)
        if ENDED not in self.trial.user_attrs and self.trial.should_prune():
            self.trial.set_user_attr(ENDED, epoch)
        if self.trial.user_attrs.get(ENDED) == epoch:
            epochs, reached = self.config.epochs, f"validation {self.objective} {100 * value:.1f}"
            raise Pruned(f"pruned after epoch {epoch} of {epochs}, at {reached}")
