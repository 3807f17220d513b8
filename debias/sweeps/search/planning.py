"""Read and check the sweep file of a search before the first trial."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from debias import config as configs
from debias.config import Config
from debias.errors import InputError, check_at_least, check_one_of
from debias.merging import Settings, split_overrides
from debias.places import cache_place
from debias.storage.urls import is_url
from debias.sweeps import plan as plans
from debias.sweeps.plan import Maker, Plan, PlannedRun, make_run
from debias.sweeps.protocol import LABELS, Protocol
from debias.sweeps.search.objectives import check_objectives
from debias.sweeps.search.space import Space, check_space, ends, points
from debias.sweeps.sweep_file import Search, Sweep, read

SAMPLERS = ("tpe", "random", "grid")
#: The pruners, and whether each stops runs early.
PRUNERS = {"none": False, "asha": True, "hyperband": True}
#: Keys of ``search`` that the command line accepts without the prefix ``search.``.
SHORT = ("trials", "storage")


@dataclass(frozen=True)
class Tuned:
    """A config whose settings are searched.

    Args:
        source: the config, as ``debias train`` accepts it.
        space: the search space of its settings.
        fixed: settings common to every run.
        folder: folder of the runs of all trials.
        seeds: the search seeds. A trial has one run per seed.
    """

    source: str
    space: Space
    fixed: Mapping[str, Any]
    folder: Path
    seeds: tuple[int, ...]

    def runs(self, settings: Mapping[str, Any]) -> list[PlannedRun]:
        """Make the runs of a trial with these settings, one per search seed."""
        maker = Maker(self.source, self.fixed, str(self.folder))
        return [maker.run({**settings, "seed": seed}) for seed in self.seeds]


@dataclass(frozen=True)
class SearchPlan:
    """A checked search.

    Args:
        out: folder of the search. The runs of its trials are in ``out/trials``.
        sweep: contents of the sweep file.
        tuned: the configs whose settings are searched.
    """

    out: Path
    sweep: Sweep
    tuned: tuple[Tuned, ...]

    @property
    def section(self) -> Search:
        """The section ``search`` of the sweep file."""
        assert self.sweep.search is not None
        return self.sweep.search

    @property
    def protocol(self) -> Protocol:
        """The protocol of the search, for the tables of its final runs."""
        sweep, trials = self.sweep, max(self.trials(tuned) for tuned in self.tuned)
        objectives = tuple(self.section.objectives)
        seeds = tuple(sweep.seeds), tuple(sweep.final_seeds)
        return Protocol(str(sweep.labels), objectives, trials, *seeds)

    def trials(self, tuned: Tuned) -> int:
        """Number of trials of a config: ``search.trials``, or the size of the grid."""
        section, count = self.section, self.section.trials or 0
        return count or len(points(tuned.space, section.sampler, count, section.seed) or [])

    def check_runs(self) -> list[PlannedRun]:
        """Make runs that together have every choice and every bound of the space.

        If these runs pass the checks, the settings of all trials are assumed to be valid.
        """
        return [tuned.runs(settings)[0] for tuned in self.tuned for settings in ends(tuned.space)]

    def base(self, tuned: Tuned) -> Config:
        """The complete config with the fixed settings only, before the search varies any."""
        return make_run(tuned.source, tuned.fixed, {"seed": tuned.seeds[0]}, tuned.folder).config

    def check_min_epochs(self) -> None:
        """Refuse a first check that no run of a config would reach before its last epoch.

        Raises:
            ValueError: ``search.min_epochs`` is not below the epochs of a config.
        """
        first = self.section.min_epochs or 0
        for tuned in self.tuned if PRUNERS[self.section.prune] else ():
            epochs = self.base(tuned).epochs
            if first >= epochs:
                raise InputError(
                    f"search.min_epochs must be below the {epochs} epochs of {tuned.source}; got "
                    f"{first}. Set fewer, or search.prune=none"
                )

    def definition(self, tuned: Tuned) -> str:
        """Describe as JSON what must be the same for all trials of a study.

        The number of trials and the storage are not part of it, so that they can change.
        """
        values = asdict(self.section) | {"space": tuned.space, "seeds": tuned.seeds}
        values |= {"config": configs.identity(self.base(tuned))}
        fixed = {key: value for key, value in values.items() if key not in SHORT}
        return json.dumps(fixed, sort_keys=True)

    def finals(self, chosen: Sequence[tuple[Tuned, Mapping[str, Any]]]) -> Plan:
        """Plan the reported runs: the chosen settings, each with all final seeds."""
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
        overrides: ``key=value`` texts. ``trials``, ``storage``, ``search.*``, ``final_seeds`` and
            the keys of ``plan.CHANGEABLE`` change the search; other keys change every run.

    Raises:
        ValueError: a key, value or combination in the file or the overrides is not allowed.
    """
    short, others = split_overrides(overrides, SHORT)
    own, others = split_overrides(others, (*plans.CHANGEABLE, "search", "final_seeds"))
    sweep = read(path, [*own, *(f"search.{text}" for text in short)])
    if sweep.search is None:
        raise InputError(
            f"{path} has no search section. Add one, or use `debias sweep run`; see docs/sweeps.md"
        )
    _check(sweep, sweep.search)
    if is_url(sweep.out):
        raise InputError(f"a search needs a folder on a disk; got out={sweep.out}")
    out = plans.folder(sweep, path)
    common = plans.fixed_settings(sweep, others)
    return SearchPlan(out, sweep, tuple(_tuned(sweep, sweep.search, path, out, common)))


def _tuned(
    sweep: Sweep, section: Search, path: Path, out: Path, common: Settings
) -> Iterator[Tuned]:
    # one cache of decoded pictures, and one store of stages, for the trials and the final runs
    places = {"cache_dir": str(cache_place(Config(), out)), "share": str(out / plans.SHARED)}
    sources = set[str]()
    for line in sweep.configs:
        source, space = plans.entry(line, section.space, path.parent)
        if source in sources:
            raise InputError(
                f"a search has each config once; got {source} twice: put all values into its "
                "space, or copy the config under another name"
            )
        sources.add(source)
        own = configs.base(source).values
        fixed = {key: place for key, place in places.items() if not own[key]} | common
        check_space(space, section.sampler)
        _check_pruning(sweep, section, space)
        plans.check_keys(source, fixed, space)
        yield Tuned(source, space, fixed, out / "trials", tuple(sweep.seeds))


def _check(sweep: Sweep, section: Search) -> None:
    if sweep.grid or sweep.draws.count:
        raise InputError("a search uses search.space in place of grid and draws. Leave these out")
    if sweep.labels is None:
        raise InputError(
            "labels is missing. Declare which group labels the search may use: "
            f"{' or '.join(LABELS)}"
        )
    check_one_of(SAMPLERS, {"search.sampler": section.sampler})
    check_one_of(PRUNERS, {"search.prune": section.prune})
    check_objectives(section.objectives, sweep.labels)
    check_at_least(0, {"search.seed": section.seed})
    _check_trials(section)
    check_at_least(2, {"search.factor": section.factor})
    if section.min_epochs is not None:
        check_at_least(1, {"search.min_epochs": section.min_epochs})
    if not sweep.final_seeds or set(sweep.final_seeds) & set(sweep.seeds):
        raise InputError(
            f"final_seeds must be one or more seeds, none of them among the search seeds "
            f"{sweep.seeds}, as in [10, 11, 12]; got {sweep.final_seeds}"
        )


def _check_trials(section: Search) -> None:
    if section.sampler == "grid" and section.trials is not None:
        raise InputError(
            f"search.trials must be left out for sampler=grid, which tries every setting; got "
            f"{section.trials}. Leave it out, or use sampler=random"
        )
    if section.sampler != "grid" and (section.trials or 0) < 1:
        raise InputError(f"search.trials must be at least 1; got {section.trials}")


def _check_pruning(sweep: Sweep, section: Search, space: Space) -> None:
    if PRUNERS[section.prune] and (len(sweep.seeds) > 1 or "epochs" in space):
        raise InputError(
            f"search.prune={section.prune} needs one search seed, and a number of epochs that is "
            "not searched"
        )
    if section.prune == "hyperband" and len(section.objectives) > 1:
        raise InputError(
            f"search.prune=hyperband needs one objective; got {section.objectives}. Use "
            "search.prune=asha"
        )
