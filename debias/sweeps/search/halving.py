"""Asynchronous successive halving with several objectives, by the order of Pareto fronts.

A run is judged once at each check. It continues if it is among the best ``1 / factor`` of the runs
that have reached this check so far, by :func:`debias.sweeps.search.fronts.leading`. The run waits
for no other. An early run is therefore judged among few, and a later one among many.
"""

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import optuna
from optuna.exceptions import UpdateFinishedTrialError

from debias.config import Config
from debias.sweeps.launchers.worker import Pruned
from debias.sweeps.search.fronts import leading
from debias.sweeps.search.objectives import gains, of_history
from debias.sweeps.sweep_file import Search

#: Number of checks that ``min_epochs`` leaves by default.
CHECKS = 2


def first_check(section: Search, epochs: int) -> int:
    """Number of epochs before the first check of a run with so many epochs."""
    return section.min_epochs or max(1, epochs // section.factor**CHECKS)


def checks(section: Search, epochs: int) -> list[int]:
    """Numbers of epochs after which a run is judged. A run that has all its epochs is not.

    Example:
        >>> checks(Search(factor=2), 16), checks(Search(factor=2, min_epochs=1), 8)
        ([4, 8], [1, 2, 4])
    """
    found, epoch = [], first_check(section, epochs)
    while epoch < epochs:
        found.append(epoch)
        epoch *= section.factor
    return found


class FrontJudge:
    """Ends a run at a check if it is behind the other runs in the order of the fronts.

    Source: the asynchronous rule is that of Li et al., "A system for massively parallel
    hyperparameter tuning" (ASHA), MLSys 2020. Fronts in place of one objective: Schmucker et al.,
    "Multi-objective asynchronous successive halving", 2021.

    The objectives are those of the epoch which the run's own rule selects so far. The trial keeps
    them with the decision, in one write to the database. A run that is killed and resumed is
    therefore judged once, and as if it had not been killed. Two runs that reach a check at the same
    moment may not see each other.

    Args:
        section: the section ``search`` of the sweep file.
        trial: the trial of the run.
        config: config of the run.

    Differs from the reference: ASHA pauses runs, and continues one when it is among the best of a
    larger number. Here a run that is behind ends. Schmucker et al. order a front by an epsilon-net;
    here it is the crowding distance of NSGA-II.
    """

    def __init__(self, section: Search, trial: optuna.Trial, config: Config) -> None:
        self.section, self.trial, self.config = section, trial, config

    def __call__(self, history: Sequence[dict[str, Any]]) -> None:
        """Judge a run at all checks that it has reached.

        Args:
            history: one entry per epoch, with the validation metrics under ``val``.

        Raises:
            Pruned: the run is behind.
        """
        for epoch in checks(self.section, self.config.epochs):
            if epoch <= len(history):
                self._judge(epoch, history[:epoch])

    def _judge(self, epoch: int, history: Sequence[dict[str, Any]]) -> None:
        names, key = self.section.objectives, f"check {epoch}"
        found = [of_history(name, history, self.config.select) for name in names]
        values = [value for value in found if value is not None]
        if len(values) < len(found):
            return
        if key not in self.trial.user_attrs:
            with suppress(UpdateFinishedTrialError):  # another command has ended the trial
                continues = self._leads(key, values)
                self.trial.set_user_attr(key, {"values": values, "continues": continues})
        if not self.trial.user_attrs.get(key, {"continues": True})["continues"]:
            named = zip(names, values, strict=True)
            reached = ", ".join(f"{name} {100 * value:.1f}" for name, value in named)
            epochs = self.config.epochs
            raise Pruned(f"pruned after epoch {epoch} of {epochs}, at validation {reached}")

    def _leads(self, key: str, values: Sequence[float]) -> bool:
        trials = self.trial.study.get_trials(deepcopy=False)
        others = [each.user_attrs[key]["values"] for each in trials if key in each.user_attrs]
        points = gains([*others, values], self.section.objectives)
        return len(points) - 1 in leading(points, self.section.factor)
