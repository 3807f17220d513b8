"""Run a benchmark's published settings as a sweep, and compare the results with the published."""

import math
import warnings
from collections.abc import Collection, Iterator, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import NamedTuple

from debias.errors import InputError, near
from debias.merging import read_overrides, split_overrides
from debias.progress import duration
from debias.reports.record import read_report
from debias.reports.tables import Spread, spread_of, text_table
from debias.sweeps.cost import Costs, costs_of
from debias.sweeps.estimate import ERRORS, Estimator
from debias.sweeps.figures import FIGURES
from debias.sweeps.files import files_of, left
from debias.sweeps.plan import Maker, Plan, PlannedRun, check_keys, fixed_settings
from debias.sweeps.published import BENCHMARKS, Setting
from debias.sweeps.sweep_file import Sweep

#: Greatest difference that passes without ``accept`` and without a known number of restarts; or
#: twice the combined standard deviation if that is more.
TOLERANCE = 0.02
RULE = (
    "PASS: the measured mean lies in the range that was fixed before the first run. Without a "
    "range, it lies within two standard errors of the difference of the two means, if the number "
    "of published restarts is known. Otherwise it lies within "
    f"{100 * TOLERANCE:.0f} points, or within twice the combined standard deviation, "
    "sqrt(published^2 + measured^2), if that is more. The measured mean is compared with the "
    "figure of the authors' code, if there is one. A number as verdict is the difference in points."
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
    "images, measured now on this machine with random pixels, times the cost of the strategy's "
    "step in the table of methods. Loading images takes longer."
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
        check_keys(setting.config, fixed, setting.varied)
        maker = Maker(setting.config, fixed, out)
        varied = [{**setting.varied, "seed": seed} for seed in seeds or range(setting.seeds)]
        reproduced.append(Reproduced(setting, tuple(map(maker.run, varied))))
    by_seed = zip_longest(*(one.runs for one in reproduced))
    distinct = {run.name: run for runs in by_seed for run in runs if run is not None}
    return Plan(out, tuple(distinct.values()), ()), reproduced


def verdict(setting: Setting, measured: Spread) -> str:
    """Compare a measured mean with its target by ``RULE``: "PASS", or the difference.

    The difference is in percentage points. Without a finished run the verdict is "not run".

    Example:
        >>> setting = Setting("waterbirds/jtt", "86.7", "Liu et al. 2021")
        >>> spreads = Spread(0.85, None), Spread(0.84, 0.01), Spread(0.84, 0.02)
        >>> [verdict(setting, measured) for measured in spreads]
        ['PASS', '-2.7', 'PASS']
        >>> setting = setting._replace(accept="60-70", official="65.1")
        >>> [verdict(setting, Spread(mean, 0.01)) for mean in (0.85, 0.69, None)]
        ['+19.9', 'PASS', 'not run']
    """
    if measured.mean is None:
        return "not run"
    difference = measured.mean - setting.target[0]
    if setting.accepted:
        low, high = setting.accepted
        passed = low - 1e-9 <= measured.mean <= high + 1e-9
    else:
        passed = abs(difference) <= tolerance(setting, measured) + 1e-9
    return "PASS" if passed else f"{100 * difference:+.1f}"


def tolerance(setting: Setting, measured: Spread) -> float:
    """The greatest difference from the target that passes without ``accept``, as in ``RULE``.

    With a known number of restarts n of the published mean, and m own runs, it is
    2 sqrt(published^2 / n + measured^2 / m). A single run has no deviation: it takes the published.
    """
    published, own = setting.target[1], measured.deviation
    if setting.restarts and published and not setting.official:
        variance = (published if own is None else own) ** 2
        return 2 * math.sqrt(published**2 / setting.restarts + variance / max(1, measured.defined))
    return max(TOLERANCE, 2 * math.hypot(published, own or 0.0))


def result_lines(reproduced: Sequence[Reproduced]) -> list[str]:
    """Write a table of published and measured results, the rule, and the known differences."""
    measured = [one.measured for one in reproduced]
    codes = any(one.setting.official for one in reproduced)
    rows = [
        [
            _title(one.setting),
            FIGURES[one.setting.metric].title,
            one.setting.source,
            f"{len(one.runs) - len(left(one.runs))} of {len(one.runs)}",
            one.setting.figure,
            *([one.setting.official or "-"] if codes else []),
            spread.text,
            verdict(one.setting, spread),
        ]
        for one, spread in zip(reproduced, measured, strict=True)
    ]
    code = ["authors' code"] if codes else []
    header = ["setting", "test accuracy", "source", "seeds", "published", *code, "measured"]
    lines = [*text_table([*header, "verdict"], rows), "", RULE]
    lines += filter(None, map(shortfall, (one.setting for one in reproduced), measured))
    return [*lines, *_notes(one.setting for one in reproduced)]


def shortfall(setting: Setting, measured: Spread) -> str:
    """One line about a published figure that the authors' own code misses; empty without one.

    The code misses it by more than ``TOLERANCE`` and twice the published deviation.
    """
    mean, deviation = setting.printed
    if abs(setting.target[0] - mean) <= max(TOLERANCE, 2 * deviation):
        return ""
    reached = f", and this run reaches {measured.text}" if measured.mean is not None else ""
    return (
        f"{_title(setting)}, {FIGURES[setting.metric].title}: the authors' code does not reach its "
        f"paper, {setting.figure}. It reaches {setting.official}{reached}."
    )


def cost_lines(benchmark: str, planned: Plan, reproduced: Sequence[Reproduced]) -> list[str]:
    """Write a table of the cost of the unfinished runs: images processed, and time.

    The time is that of finished runs of the setting. If there are none, a few steps are timed on
    this machine.
    """
    costs, estimator = costs_of(planned.runs), Estimator(benchmark)
    distinct: dict[tuple[str, ...], Reproduced] = {}
    for one in reproduced:
        distinct.setdefault(tuple(run.name for run in one.runs), one)
    rows = [_cost(one, costs, estimator) for one in distinct.values()]
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


def _own(overrides: Sequence[str], benchmark: str) -> tuple[list[int] | None, Path]:
    own = read_overrides(overrides)
    out = Path(str(own.get("out", f"runs/reproduce_{benchmark}")))
    if "seeds" not in own:
        return None, out
    seeds = own["seeds"]
    if not isinstance(seeds, list) or not seeds or not all(isinstance(seed, int) for seed in seeds):
        raise InputError(f"seeds={seeds} must be a list of whole numbers, as in seeds=[0,1,2]")
    return list(dict.fromkeys(seeds)), out
