"""A benchmark's published settings as a sweep, and what was measured beside what was published."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from debias.config import Config
from debias.errors import InputError, near
from debias.merging import read_overrides
from debias.reports.comparison import Spread, spread_of
from debias.reports.run_folder import read_report
from debias.reports.tables import spread, text_table
from debias.sweeps.cost import costs_of, duration
from debias.sweeps.files import files_of, left
from debias.sweeps.plan import Plan, Run, check_keys, fixed_settings, make_run
from debias.sweeps.published import BENCHMARKS, IMAGES, Setting
from debias.sweeps.sweep_file import Sweep

#: A measured mean passes if it lies within this, or within twice the combined standard deviation where that is more.
TOLERANCE = 0.02
SEEDS = (0, 1, 2)
RULE = (
    f"PASS: the measured mean lies within {100 * TOLERANCE:.0f} points of the published one, or within twice the "
    "combined standard deviation, sqrt(published^2 + measured^2), where that is more; else the difference in points"
)


class Reproduced(NamedTuple):
    """A published setting and its runs, a run a seed, done or not."""

    setting: Setting
    runs: tuple[Run, ...]

    @property
    def measured(self) -> Spread:
        """The published metric over the runs that are done."""
        reports = [read_report(run.folder) for run in self.runs if files_of(run).report.is_file()]
        return spread_of([report["metrics"]["test"]["scalars"].get(self.setting.metric) for report in reports])


def reproduction(
    benchmark: str, overrides: Sequence[str] = (), *, names: Collection[str] = ()
) -> tuple[Plan, list[Reproduced]]:
    """The runs of a benchmark's published settings.

    Args:
        benchmark: one of ``published.BENCHMARKS``.
        overrides: ``key=value``; ``seeds`` and ``out`` change the sweep, all else every run.
        names: of the settings, such as "jtt"; empty is all.

    Returns:
        The plan, every setting with the first seed before any with the second; and the settings with their runs.

    Raises:
        ValueError: an unknown setting, or an override that a config cannot take.
    """
    found = BENCHMARKS[benchmark]
    for name in names:
        if name not in {setting.name for setting in found}:
            raise InputError(f"{benchmark} has no published setting {name!r}; {near(name, {s.name for s in found})}")
    chosen = [setting for setting in found if not names or setting.name in names]
    own = [text for text in overrides if text.partition("=")[0] in ("seeds", "out")]
    seeds, out = _own(own, benchmark)
    fixed = fixed_settings(Sweep(), [text for text in overrides if text not in own])
    for setting in chosen:
        check_keys(setting.config, fixed, setting.varied)
    runs = [[make_run(s.config, fixed, {**s.varied, "seed": seed}, out) for s in chosen] for seed in seeds]
    planned = Plan(out, tuple(run for of_seed in runs for run in of_seed), ())
    return planned, [Reproduced(s, of_setting) for s, of_setting in zip(chosen, zip(*runs, strict=True), strict=True)]


def verdict(setting: Setting, measured: Spread) -> str:
    """Whether a measured mean agrees with a published one by ``RULE``, or the difference in points.

    Example:
        >>> setting = Setting("waterbirds/jtt", "86.7", "Liu et al. 2021")
        >>> [verdict(setting, measured) for measured in (Spread(0.85, None), Spread(0.84, 0.01), Spread(0.84, 0.02))]
        ['PASS', '-2.7', 'PASS']
    """
    if measured.mean is None:
        return "-"
    difference = measured.mean - setting.mean
    tolerance = max(TOLERANCE, 2 * math.hypot(setting.deviation, measured.deviation or 0.0))
    return "PASS" if abs(difference) <= tolerance + 1e-9 else f"{100 * difference:+.1f}"


def result_lines(reproduced: Sequence[Reproduced]) -> list[str]:
    """A line for each setting, published and measured; the rule; and in what some differ from what was published."""
    rows = [
        [
            _title(one.setting),
            one.setting.metric.replace("_", " "),
            one.setting.source,
            f"{len(one.runs) - len(left(one.runs))} of {len(one.runs)}",
            one.setting.figure,
            spread(*one.measured),
            verdict(one.setting, one.measured),
        ]
        for one in reproduced
    ]
    header = ["setting", "test accuracy", "source", "seeds", "published", "measured", "verdict"]
    return [*text_table(header, rows), "", RULE, *_notes(one.setting for one in reproduced)]


def cost_lines(benchmark: str, planned: Plan, reproduced: Sequence[Reproduced]) -> list[str]:
    """What the runs that are left would cost: images seen in training, and time where runs of the config are done."""
    costs = costs_of(planned.runs)
    rows = []
    for setting, runs in reproduced:
        rest, epochs = left(runs), epochs_of(runs[0].config)
        seconds = [cost for cost in map(costs.expected, rest) if cost is not None]
        time = duration(sum(seconds)) if seconds else "-"
        seen = len(rest) * epochs * IMAGES[benchmark] / 1e6
        rows.append([_title(setting), setting.figure, setting.source, str(len(rest)), str(epochs), f"{seen:.1f}", time])
    header = ["setting", "published", "source", "runs left", "epochs", "million images", "time left"]
    images = f"{IMAGES[benchmark]:,} images an epoch; fewer where the sampler or a stage takes a part of them"
    return [*text_table(header, rows), "", images]


def epochs_of(config: Config) -> int:
    """Epochs of all the stages of a run that the config names."""
    early = [int(section["epochs"]) for section in config.recipe.values() if _has_epochs(section)]
    return config.epochs + sum(early)


def _has_epochs(section: Any) -> bool:
    return isinstance(section, Mapping) and "epochs" in section


def _title(setting: Setting) -> str:
    return " ".join([setting.name, *(f"{key}={value}" for key, value in setting.varied.items())])


def _notes(settings: Iterator[Setting]) -> list[str]:
    """A line for each note, with the names of the settings that it is about."""
    names: dict[str, dict[str, None]] = {}
    for setting in settings:
        if setting.note:
            names.setdefault(setting.note, {})[setting.name] = None
    return [f"{', '.join(about)}: {note}" for note, about in names.items()]


def _own(overrides: Sequence[str], benchmark: str) -> tuple[list[int], Path]:
    own = read_overrides(overrides)
    seeds = own.get("seeds", list(SEEDS))
    if not isinstance(seeds, list) or not seeds or not all(isinstance(seed, int) for seed in seeds):
        raise InputError(f"seeds={seeds} must be a list of whole numbers, as in seeds=[0,1,2]")
    return list(dict.fromkeys(seeds)), Path(str(own.get("out", Path("runs") / f"reproduce_{benchmark}")))
