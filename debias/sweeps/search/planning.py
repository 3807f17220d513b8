"""A sweep file with a search in it to what is searched, checked before anything is tried."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from debias import config as configs
from debias.config import Config
from debias.errors import InputError, check_at_least, check_one_of
from debias.merging import split_overrides
from debias.sweeps import plan as plans
from debias.sweeps.plan import Maker, Plan, PlannedRun, make_run
from debias.sweeps.protocol import LABELS, Protocol
from debias.sweeps.search.objectives import check_objectives
from debias.sweeps.search.space import Space, check_space, ends, points
from debias.sweeps.sweep_file import Search, Sweep, read

SAMPLERS = ("tpe", "random", "grid")
#: Whether it stops runs early.
PRUNERS = {"none": False, "asha": True, "hyperband": True}
#: Keys of the section that the command line may give without its name.
SHORT = ("trials", "storage")


@dataclass(frozen=True)
class Tuned:
    """A config whose settings are searched.

    Args:
        source: the config, as ``debias train`` takes it.
        space: of its settings.
        fixed: settings of every run.
        folder: of the trials' runs.
        seeds: of the runs of a trial.
    """

    source: str
    space: Space
    fixed: Mapping[str, Any]
    folder: Path
    seeds: tuple[int, ...]

    def runs(self, settings: Mapping[str, Any]) -> list[PlannedRun]:
        """The runs of a trial, one for each search seed."""
        maker = Maker(self.source, self.fixed, self.folder)
        return [maker.run({**settings, "seed": seed}) for seed in self.seeds]


@dataclass(frozen=True)
class SearchPlan:
    """What is searched, and where.

    Args:
        out: folder of the search; the trials' runs are in its folder ``trials``.
        sweep: what the file says.
        tuned: the configs.
    """

    out: Path
    sweep: Sweep
    tuned: tuple[Tuned, ...]

    @property
    def section(self) -> Search:
        """How settings are searched."""
        assert self.sweep.search is not None
        return self.sweep.search

    @property
    def protocol(self) -> Protocol:
        """What the tables say of the search."""
        sweep, trials = self.sweep, max(self.trials(tuned) for tuned in self.tuned)
        objectives = tuple(self.section.objectives)
        seeds = tuple(sweep.seeds), tuple(sweep.final_seeds)
        return Protocol(str(sweep.labels), objectives, trials, *seeds)

    def trials(self, tuned: Tuned) -> int:
        """How many settings of a config are tried."""
        section, wanted = self.section, self.section.trials or 0
        return wanted or len(points(tuned.space, section.sampler, wanted, section.seed) or [])

    def check_runs(self) -> list[PlannedRun]:
        """Runs that have every choice and every bound: if these can be, the others can."""
        return [tuned.runs(settings)[0] for tuned in self.tuned for settings in ends(tuned.space)]

    def base(self, tuned: Tuned) -> Config:
        """A config before anything is varied of it."""
        return make_run(tuned.source, tuned.fixed, {"seed": tuned.seeds[0]}, tuned.folder).config

    def definition(self, tuned: Tuned) -> str:
        """What must be the same for all trials of a study; the number of trials may grow."""
        values = asdict(self.section) | {"space": tuned.space, "seeds": tuned.seeds}
        values |= {"config": configs.identity(self.base(tuned))}
        fixed = {key: value for key, value in values.items() if key not in SHORT}
        return json.dumps(fixed, sort_keys=True)

    def finals(self, chosen: Sequence[tuple[Tuned, Mapping[str, Any]]]) -> Plan:
        """The runs that are reported: the chosen settings, each on the final seeds."""
        runs = [
            make_run(tuned.source, tuned.fixed, {**settings, "seed": seed}, self.out)
            for seed in self.sweep.final_seeds
            for tuned, settings in chosen
        ]
        distinct = tuple({run.name: run for run in runs}.values())
        return Plan(self.out, distinct, (), self.sweep.labels)


def plan_search(path: Path, overrides: Sequence[str] = ()) -> SearchPlan:
    """Read a sweep file with a ``search`` section.

    Args:
        path: the sweep file, see :class:`debias.sweeps.sweep_file.Sweep`.
        overrides: ``key=value``; ``trials``, ``storage``, ``search.*``, ``final_seeds`` and what a
            sweep takes change the search, all else every run.

    Raises:
        ValueError: whatever is wrong with the file; nothing has been tried then.
    """
    short, others = split_overrides(overrides, SHORT)
    own, others = split_overrides(others, (*plans.CHANGEABLE, "search", "final_seeds"))
    sweep = read(path, [*own, *(f"search.{text}" for text in short)])
    if sweep.search is None:
        raise InputError(
            f"{path} has no search section: add one, or use `debias sweep run`; see docs/sweeps.md"
        )
    _check(sweep, sweep.search)
    out = plans.folder(sweep, path)
    # the pictures are decoded once for trials and final runs
    fixed = {"cache_dir": str(out / "cache"), **plans.fixed_settings(sweep, others)}
    tuned = []
    for line in sweep.configs:
        source, space = plans.entry(line, sweep.search.space, path.parent)
        check_space(space, sweep.search.sampler)
        plans.check_keys(source, fixed, space)
        tuned.append(Tuned(source, space, fixed, out / "trials", tuple(sweep.seeds)))
    return SearchPlan(out, sweep, tuple(tuned))


def _check(sweep: Sweep, section: Search) -> None:
    if sweep.grid or sweep.draws.count:
        raise InputError("a search takes search.space in place of grid and draws: leave these out")
    if sweep.labels is None:
        raise InputError(
            f"labels is missing: say which group labels the search may use: {', '.join(LABELS)}"
        )
    check_one_of(SAMPLERS, {"search.sampler": section.sampler})
    check_one_of(PRUNERS, {"search.prune": section.prune})
    check_objectives(section.objectives, sweep.labels)
    check_at_least(0, {"search.seed": section.seed})
    _check_trials(section)
    if PRUNERS[section.prune] and (
        len(section.objectives) > 1 or len(sweep.seeds) > 1 or "epochs" in section.space
    ):
        raise InputError(
            "search.prune needs one objective, one search seed, and epochs that are not searched"
        )
    if not sweep.final_seeds or set(sweep.final_seeds) & set(sweep.seeds):
        raise InputError(
            "final_seeds must be fresh: seeds of the runs that are reported, none of them among "
            f"the search seeds {sweep.seeds}, as in [10, 11, 12]; got {sweep.final_seeds}"
        )


def _check_trials(section: Search) -> None:
    if section.sampler == "grid" and section.trials is not None:
        raise InputError(
            "search.trials: a grid tries every setting; leave it out, or use sampler=random"
        )
    if section.sampler != "grid" and (section.trials or 0) < 1:
        raise InputError(f"search.trials must be at least 1; got {section.trials}")
