"""Who proposes settings, and who judges a run to be behind: Optuna's, by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.pruners import BasePruner, HyperbandPruner, NopPruner, SuccessiveHalvingPruner
from optuna.samplers import BaseSampler, TPESampler
from optuna.study import Study
from optuna.trial import FrozenTrial

#: A rung keeps the best third, and a run is first judged after a ninth of its epochs.
FACTOR, RUNGS = 3, 2


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
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """Nothing: no value depends on others."""
        return {}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Nothing."""
        return {}

    def sample_independent(
        self,
        study: Study,
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
        number: of the trial. The estimator's random numbers follow from it: one that starts anew in
            every command would otherwise propose again what the command before it did.
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
