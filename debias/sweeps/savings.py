"""Which stages the runs of a sweep share: the epochs that this saves, and the order of the runs."""

import json
from collections import Counter
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from debias import components
from debias.config import Config
from debias.merging import Settings
from debias.sweeps.plan import PlannedRun, mistakes_of

#: Numbers of images with which a recipe is asked for its stages. They change no number of epochs.
SOME = 8


class PlannedStages(NamedTuple):
    """The stages of a run.

    Attributes:
        epochs: epochs of all stages.
        shared: digest and epochs of each stage that another run may train too.
    """

    epochs: int
    shared: tuple[tuple[str, int], ...]


class Savings(NamedTuple):
    """Training epochs of all runs of a sweep, if each trains all its stages, and if they share."""

    apart: int
    together: int

    @property
    def lines(self) -> list[str]:
        """One line with the two numbers and their ratio; none if nothing is saved."""
        if self.apart == self.together:
            return []
        return [
            f"equal stages are trained once: {self.together:,} epochs in place of {self.apart:,} "
            f"({self.together / self.apart:.2f})"
        ]


def savings(runs: Sequence[PlannedRun]) -> Savings:
    """Count the epochs of all runs, finished or not.

    Predictors of SSA count as if each run trained its own: their data are found in training.

    Args:
        runs: all runs of the sweep.
    """
    planned = planned_stages(runs)
    apart = sum(stages.epochs for stages in planned)
    every = [stage for stages in planned for stage in stages.shared]
    saved = sum(epochs for _, epochs in every) - sum(epochs for _, epochs in dict.fromkeys(every))
    return Savings(apart, apart - saved)


def shared_first(runs: Sequence[PlannedRun]) -> tuple[PlannedRun, ...]:
    """Order the runs so that a shared stage is trained once and early, and nobody waits for it.

    Within each seed, the runs that train a stage for others come first. The runs that take all
    their shared stages come last.

    Args:
        runs: all runs of the sweep.
    """
    planned = planned_stages(runs)
    counts = Counter(key for stages in planned for key, _ in stages.shared)
    ranks, begun = [], set[str]()
    for stages in planned:
        needed = {key for key, _ in stages.shared if counts[key] > 1}
        ranks.append(1 if not needed else 0 if needed - begun else 2)
        begun |= needed
    ordered: list[PlannedRun] = []
    pairs = list(zip(ranks, runs, strict=True))
    for _, block in groupby(pairs, key=lambda pair: pair[1].config.seed):
        ordered += [run for _, run in sorted(block, key=lambda pair: pair[0])]
    return tuple(ordered)


def planned_stages(runs: Sequence[PlannedRun]) -> list[PlannedStages]:
    """The stages of each run. Runs that differ in the seed only are asked for them once."""
    known: dict[tuple[str, ...], PlannedStages] = {}
    found = []
    for run in runs:
        varied = (text for text in run.overrides if not text.startswith("seed="))
        alike = (run.source, *varied)
        stages = known.get(alike) or known.setdefault(alike, _stages(run))
        own = ((f"{key} {run.config.seed}", epochs) for key, epochs in stages.shared)
        found.append(stages._replace(shared=tuple(own)))
    return found


def _stages(run: PlannedRun) -> PlannedStages:
    from debias.runs.run import Recipe, Run
    from debias.runs.sharing import shares
    from debias.runs.work import Sizes

    with mistakes_of(run.settings):
        recipe: Recipe = components.construct("recipe", run.config.recipe, {})
        one = Run(run.config, Path(run.config.out))
        work = recipe.work(one, Sizes((SOME,) * 4, val=SOME, test=SOME))
        keys = [
            (json.dumps([each.share, each.data, _settings(each, run)]), each.epochs)
            for each in filter(shares, recipe.shareable(one))
        ]
    return PlannedStages(sum(part.times * part.config.epochs for part in work), tuple(keys))


def _settings(stage: Config, run: PlannedRun) -> Settings:
    """What tells the stages of one seed apart. Those of one run may differ in the seed only."""
    from debias.runs.sharing import stage_settings

    return stage_settings(stage) | {"seed": stage.seed - run.config.seed}
