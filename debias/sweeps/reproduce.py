"""Run a benchmark's published settings as a sweep."""

import warnings
from collections.abc import Collection, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import NamedTuple

from debias.config import EXECUTION, Config
from debias.errors import InputError, near
from debias.merging import Section, converted, read_overrides, split_overrides
from debias.reports.record import read_report
from debias.reports.tables import Spread, spread_of
from debias.storage.urls import is_url
from debias.sweeps.estimate import Estimator
from debias.sweeps.figures import FIGURES
from debias.sweeps.files import files_of
from debias.sweeps.plan import Maker, Plan, PlannedRun, check_keys, fixed_settings
from debias.sweeps.published import BENCHMARKS, Setting
from debias.sweeps.sweep_file import Sweep

#: The published runs computed in float32.
PRECISION = "32-true"
#: Keys that leave the settings of a run as published: which runs, where files are, and where and
#: how a run is executed.
KEPT = (
    *("seeds", "out", "data.root", "model.weights", "accelerator", "devices", "nodes"),
    *EXECUTION,
)


class Reproduced(NamedTuple):
    """A published figure and the runs of its setting: one per seed, finished or not."""

    setting: Setting
    runs: tuple[PlannedRun, ...]

    @property
    def measured(self) -> Spread:
        """Mean and deviation of the published figure over the finished runs."""
        return spread_of([self._figure(run) for run in self.runs if files_of(run).report.is_file()])

    def _figure(self, run: PlannedRun) -> float | None:
        """Read the figure of a finished run. ``None``, with a warning, if its report is damaged."""
        try:
            return FIGURES[self.setting.metric].read(read_report(run.folder))
        except InputError as error:
            warnings.warn(str(error), stacklevel=2)
            return None


def reproduction(
    benchmark: str, overrides: Sequence[str] = (), *, names: Collection[str] = ()
) -> tuple[Plan, list[Reproduced]]:
    """Plan the runs of a benchmark's published settings.

    Args:
        benchmark: a key of ``published.BENCHMARKS``.
        overrides: ``key=value`` texts. ``seeds`` and ``out`` change the sweep; other keys change
            every run. Runs compute in float32, as the published ones did, unless ``precision`` is
            given.
        names: names of the settings, such as "jtt". Empty means all.

    Returns:
        The plan, in which every setting with the first seed comes before any with the second; and
        each published figure with its runs. Figures of one setting share their runs.

    Raises:
        ValueError: a name is not a setting of the benchmark, or a config does not have the key of
            an override.
    """
    settings = BENCHMARKS[benchmark]
    valid = {setting.name for setting in settings}
    for name in names:
        if name not in valid:
            hint = near(name, valid)
            raise InputError(f"{benchmark} has no published setting {name!r}; {hint}")
    chosen = [setting for setting in settings if not names or setting.name in names]
    own, others = split_overrides(overrides, ("seeds", "out"))
    seeds, out = _own(own, benchmark)
    fixed = fixed_settings(Sweep(set={"precision": PRECISION}), others)
    reproduced = []
    for setting in chosen:
        _check_free(setting, fixed)
        check_keys(setting.config, fixed)
        maker = Maker(setting.config, fixed, str(out))
        varied = [{**setting.varied, "seed": seed} for seed in seeds or range(setting.seeds)]
        reproduced.append(Reproduced(setting, tuple(map(maker.run, varied))))
    by_seed = zip_longest(*(one.runs for one in reproduced))
    distinct = {run.name: run for runs in by_seed for run in runs if run is not None}
    return Plan(out, tuple(distinct.values()), ()), reproduced


def changes(overrides: Sequence[str]) -> list[str]:
    """The overrides that make the settings of the runs differ from the published ones.

    Example:
        >>> changes(["data.root=mnist", "seeds=[0]", "epochs=1", "optimizer.lr=0.1"])
        ['epochs=1', 'optimizer.lr=0.1']
    """
    return [text for text in overrides if text.partition("=")[0] not in KEPT]


def _check_free(setting: Setting, fixed: Section) -> None:
    for key in fixed:
        if key in setting.varied:
            raise InputError(
                f"{key}={fixed[key]} cannot be set: the published setting {setting.name} has "
                f"{key}={setting.varied[key]}. Leave it out, or train its config by `debias train "
                f"{setting.config}`"
            )


def trainings(reproduced: Sequence[Reproduced]) -> list[Reproduced]:
    """The first figure of each setting, so that no run occurs twice."""
    distinct: dict[tuple[str, ...], Reproduced] = {}
    for one in reproduced:
        distinct.setdefault(tuple(run.name for run in one.runs), one)
    return list(distinct.values())


def row_by_row(benchmark: str, planned: Plan, reproduced: Sequence[Reproduced]) -> Plan:
    """Reorder a plan so that rows of the table finish early.

    All seeds of a setting come before the next setting, and those with fewer images to process come
    first. The order depends on the settings only, so that each piece of work continues the last.
    """
    estimator = Estimator(benchmark)

    def images(one: Reproduced) -> int:
        """Images of one run, in steps of training."""
        counts = estimator.estimate(one.runs[0].config, timed=False).images
        return 3 * counts.trained + counts.evaluated

    ordered = [run for one in sorted(trainings(reproduced), key=images) for run in one.runs]
    return planned._replace(runs=tuple({run.name: run for run in ordered}.values()))


def title_of(setting: Setting) -> str:
    """Name of a setting in tables: with the settings of the data that it varies."""
    varied = [f"{key}={value}" for key, value in setting.varied.items() if key.startswith("data.")]
    return " ".join([setting.name, *varied])


def _own(overrides: Sequence[str], benchmark: str) -> tuple[list[int] | None, Path]:
    own = read_overrides(overrides)
    out = Path(converted(Config, "out", own.get("out", f"runs/reproduce_{benchmark}")))
    if is_url(own.get("out")):
        raise InputError(f"debias reproduce needs a folder on a disk; got out={own['out']}")
    if "seeds" not in own:
        return None, out
    seeds = own["seeds"]
    if not isinstance(seeds, list) or not seeds or not all(isinstance(seed, int) for seed in seeds):
        raise InputError(f"seeds={seeds} must be a list of whole numbers, as in seeds=[0,1,2]")
    return list(dict.fromkeys(seeds)), out
