"""Run a benchmark's published settings as a sweep, and compare the results with the published."""

import math
import warnings
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from debias.errors import InputError, near
from debias.merging import read_overrides, split_overrides
from debias.progress import duration
from debias.reports.record import read_report
from debias.reports.tables import Spread, spread_of, text_table
from debias.sweeps.cost import Costs, costs_of
from debias.sweeps.estimate import ERRORS, Estimator
from debias.sweeps.files import files_of, left
from debias.sweeps.plan import Plan, PlannedRun, check_keys, fixed_settings, make_run
from debias.sweeps.published import BENCHMARKS, Setting
from debias.sweeps.sweep_file import Sweep

#: A measured mean passes if it differs by at most this from the published one, or by at most twice
#: the combined standard deviation if that is more.
TOLERANCE = 0.02
SEEDS = (0, 1, 2)
RULE = (
    f"PASS: the measured mean lies within {100 * TOLERANCE:.0f} points of the published one, or "
    "within twice the combined standard deviation, sqrt(published^2 + measured^2), if that is "
    "more. Otherwise the verdict is the difference in points."
)
#: The published runs computed in float32.
PRECISION = "32-true"
IMAGES = (
    "trained, evaluated: million images processed in training and in evaluation, in all stages of "
    f"the runs left. If a stage repeats the errors of an early model, {100 * ERRORS:.0f} % errors "
    "on the training images are assumed."
)
TIMED = (
    "~: an estimate, because no run of the setting is done: the time of ERM steps on as many "
    "images, measured now on this machine with random pixels. Other strategies and loading images "
    "take longer."
)


class Reproduced(NamedTuple):
    """A published setting and its runs: one per seed, finished or not."""

    setting: Setting
    runs: tuple[PlannedRun, ...]

    @property
    def measured(self) -> Spread:
        """Mean and deviation of the published metric over the finished runs."""
        return spread_of([self._figure(run) for run in self.runs if files_of(run).report.is_file()])

    def _figure(self, run: PlannedRun) -> float | None:
        """Read the metric of a finished run. ``None``, with a warning, if its report is damaged."""
        try:
            return read_report(run.folder).test.scalars.get(self.setting.metric)
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
        each setting with its runs.

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
    for setting in chosen:
        check_keys(setting.config, fixed, setting.varied)
    runs = [
        [make_run(s.config, fixed, {**s.varied, "seed": seed}, out) for s in chosen]
        for seed in seeds
    ]
    planned = Plan(out, tuple(run for of_seed in runs for run in of_seed), ())
    by_setting = zip(chosen, zip(*runs, strict=True), strict=True)
    return planned, [Reproduced(setting, own_runs) for setting, own_runs in by_setting]


def verdict(setting: Setting, measured: Spread) -> str:
    """Compare a measured mean with the published one by ``RULE``: "PASS", or the difference.

    The difference is in percentage points. Without a finished run the verdict is "-".

    Example:
        >>> setting = Setting("waterbirds/jtt", "86.7", "Liu et al. 2021")
        >>> spreads = Spread(0.85, None), Spread(0.84, 0.01), Spread(0.84, 0.02)
        >>> [verdict(setting, measured) for measured in spreads]
        ['PASS', '-2.7', 'PASS']
    """
    if measured.mean is None:
        return "-"
    difference = measured.mean - setting.mean
    tolerance = max(TOLERANCE, 2 * math.hypot(setting.deviation, measured.deviation or 0.0))
    return "PASS" if abs(difference) <= tolerance + 1e-9 else f"{100 * difference:+.1f}"


def result_lines(reproduced: Sequence[Reproduced]) -> list[str]:
    """Write a table of published and measured results, the rule, and the known differences."""
    rows = [
        [
            _title(one.setting),
            one.setting.metric.replace("_", " "),
            one.setting.source,
            f"{len(one.runs) - len(left(one.runs))} of {len(one.runs)}",
            one.setting.figure,
            one.measured.text,
            verdict(one.setting, one.measured),
        ]
        for one in reproduced
    ]
    header = ["setting", "test accuracy", "source", "seeds", "published", "measured", "verdict"]
    return [*text_table(header, rows), "", RULE, *_notes(one.setting for one in reproduced)]


def cost_lines(benchmark: str, planned: Plan, reproduced: Sequence[Reproduced]) -> list[str]:
    """Write a table of the cost of the unfinished runs: images processed, and time.

    The time is that of finished runs of the setting. If there are none, a few steps are timed on
    this machine.
    """
    costs, estimator = costs_of(planned.runs), Estimator(benchmark)
    rows = [_cost(one, costs, estimator) for one in reproduced]
    header = ["setting", "published", "source", "runs left", "epochs", "trained", "evaluated"]
    header.append("time left")
    estimated = [TIMED] if any(row[-1].startswith("~") for row in rows) else []
    return [*text_table(header, rows), "", IMAGES, *estimated]


def _cost(one: Reproduced, costs: Costs, estimator: Estimator) -> list[str]:
    setting, rest = one.setting, left(one.runs)
    measured = costs.expected(one.runs[0])
    estimate = estimator.estimate(one.runs[0].config, timed=bool(rest) and measured is None)
    seconds = estimate.seconds if measured is None else measured
    time = "-"
    if seconds is not None and rest:
        time = f"{'~' if measured is None else ''}{duration(len(rest) * seconds)}"
    images = [f"{len(rest) * count / 1e6:.1f}" for count in estimate.images]
    published = (_title(setting), setting.figure, setting.source)
    return [*published, str(len(rest)), str(estimate.epochs), *images, time]


def _title(setting: Setting) -> str:
    varied = [f"{key}={value}" for key, value in setting.varied.items() if key.startswith("data.")]
    return " ".join([setting.name, *varied])


def _notes(settings: Iterator[Setting]) -> list[str]:
    """Write one line per known difference, with the names of the settings that it concerns."""
    names: dict[str, dict[str, None]] = {}
    for setting in settings:
        for note in setting.differences:
            names.setdefault(note, {})[setting.name] = None
    return [f"{', '.join(about)}: {note}" for note, about in names.items()]


def _own(overrides: Sequence[str], benchmark: str) -> tuple[list[int], Path]:
    own = read_overrides(overrides)
    seeds = own.get("seeds", list(SEEDS))
    if not isinstance(seeds, list) or not seeds or not all(isinstance(seed, int) for seed in seeds):
        raise InputError(f"seeds={seeds} must be a list of whole numbers, as in seeds=[0,1,2]")
    out = own.get("out", f"runs/reproduce_{benchmark}")
    return list(dict.fromkeys(seeds)), Path(str(out))
