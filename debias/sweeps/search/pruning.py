"""Stop a run of a search early, at the end of an epoch, if it is behind the other runs."""

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
        judge = Judge(self.section, self.url, self.studies[config.name], config)
        return self.train(config, resume=resume, watch=judge)


class Judge:
    """Reports a run's objective to the study after each epoch, and ends the run if it is behind.

    The objective is that of the epoch which the run's own rule selects so far. Worst-group accuracy
    goes up and down, and a run is as good as its best epoch. After the last epoch, nothing is
    reported, because the run is then done.

    Args:
        section: the section ``search`` of the sweep file. It has one objective.
        url: URL of the database.
        name: name of the study.
        config: config of the run.
    """

    def __init__(self, section: Search, url: str, name: str, config: Config) -> None:
        from debias.sweeps.search.study import open_study, reopened

        self.objective, self.rule, self.epochs = section.objectives[0], config.select, config.epochs
        study = open_study(url, name, section, epochs=config.epochs)
        run, trials = configs.run_name(config), study.get_trials(deepcopy=False)
        unfinished = [trial for trial in trials if not trial.state.is_finished()]
        own = [trial for trial in unfinished if run in trial.user_attrs.get("runs", ())]
        # there is no trial if another command has recorded it as failed
        self.trial = reopened(study, own[0].number) if own else None
        self.reported = max(own[0].intermediate_values, default=0) if own else 0

    def __call__(self, history: Sequence[dict[str, Any]]) -> None:
        """Report the objective after an epoch. Epochs from before a resumption are skipped.

        Args:
            history: one entry per epoch, with the validation metrics under ``val``.

        Raises:
            Pruned: the pruner ended the run.
        """
        epoch, value = len(history), of_history(self.objective, history, self.rule)
        if self.trial is None or value is None or epoch >= self.epochs or epoch <= self.reported:
            return
        self.trial.report(value, epoch)
        if self.trial.should_prune():
            reached = f"validation {self.objective} {100 * value:.1f}"
            raise Pruned(f"pruned after epoch {epoch} of {self.epochs}, at {reached}")
