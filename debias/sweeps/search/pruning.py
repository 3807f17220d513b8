"""A run that is behind the others stops at the end of an epoch."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from debias import config as configs
from debias.config import Config
from debias.sweeps.launchers.worker import Pruned
from debias.sweeps.search.objectives import of_history
from debias.sweeps.sweep_file import Search


@dataclass(frozen=True)
class PrunedTraining:
    """Trains a run of a trial, which ends early if the study's pruner finds it behind.

    Args:
        train: ``debias.commands.train.train``, whose ``watch`` looks at each epoch.
        section: how settings are searched.
        url: of the database.
        studies: name of the study of each config.
    """

    train: Callable[..., Path]
    section: Search
    url: str
    studies: Mapping[str, str]

    def __call__(self, config: Config, *, resume: Path | None = None) -> Path:
        """Train, evaluate and report.

        Raises:
            Pruned: the run is behind.
        """
        judge = Judge(self.section, self.url, self.studies[config.name], config)
        return self.train(config, resume=resume, watch=judge)


class Judge:
    """Reports the objective after each epoch as if the run ended, and ends it if it is behind.

    A run is judged by the epoch that its own rule would select so far: worst-group accuracy falls
    and rises, and a run is as good as its best epoch. The last epoch is not judged, for the run is
    then done.

    Args:
        section: how settings are searched, with one objective.
        url: of the database.
        name: of the study.
        config: of the run.
    """

    def __init__(self, section: Search, url: str, name: str, config: Config) -> None:
        from debias.sweeps.search.study import open_study, reopened

        self.objective, self.rule, self.epochs = section.objectives[0], config.select, config.epochs
        study = open_study(url, name, section, epochs=config.epochs)
        run, trials = configs.run_name(config), study.get_trials(deepcopy=False)
        going = [trial for trial in trials if not trial.state.is_finished()]
        own = [trial for trial in going if run in trial.user_attrs.get("runs", ())]
        # none, where another command has given the run up as failed
        self.trial = reopened(study, own[0].number) if own else None
        self.reported = max(own[0].intermediate_values, default=0) if own else 0

    def __call__(self, history: Sequence[dict[str, Any]]) -> None:
        """Look at the history after an epoch.

        Raises:
            Pruned: the run is behind.
        """
        epoch, value = len(history), of_history(self.objective, history, self.rule)
        if self.trial is None or value is None or epoch >= self.epochs or epoch <= self.reported:
            return
        self.trial.report(value, epoch)
        if self.trial.should_prune():
            reached = f"validation {self.objective} {100 * value:.1f}"
            raise Pruned(f"pruned after epoch {epoch} of {self.epochs}, at {reached}")
