"""The price of a published table: images and time of the runs that are left."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch

from debias.devices import resolve_accelerator
from debias.progress import duration
from debias.reports.tables import text_table
from debias.sweeps.cost import Costs, costs_of
from debias.sweeps.estimate import ERRORS, Estimate, Estimator
from debias.sweeps.files import left
from debias.sweeps.plan import Plan
from debias.sweeps.reproduce import Reproduced, title_of, trainings

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
GIVEN = (
    "~: an estimate for {speed:g} images per second in training, and three times as many in "
    "evaluation, times the cost of the strategy's step in the table of methods. Other networks and "
    "image sizes have another speed."
)


class Price(NamedTuple):
    """The price of the runs of a setting that are left.

    Attributes:
        one: the first figure of the setting, and its runs.
        runs: how many are left.
        estimate: the cost of one run.
        seconds: time of all runs left, one after the other; ``None`` if it is unknown.
        cpu: processor seconds of all runs left; ``None`` if they do not train on a CPU.
        measured: whether the time is that of finished runs.
    """

    one: Reproduced
    runs: int
    estimate: Estimate
    seconds: float | None
    cpu: float | None
    measured: bool

    @property
    def cells(self) -> list[str]:
        """The row of the setting in the table."""
        setting, sign = self.one.setting, "" if self.measured else "~"
        words = [title_of(setting), setting.figure, setting.source]
        images = [f"{self.runs * count / 1e6:.1f}" for count in self.estimate.images]
        time = "-" if not self.seconds else f"{sign}{duration(self.seconds)}"
        cpu = "-" if not self.cpu else f"{sign}{self.cpu / 3600:.2f}"
        return [*words, str(self.runs), str(self.estimate.epochs), *images, time, cpu]


def prices(
    benchmark: str,
    planned: Plan,
    reproduced: Sequence[Reproduced],
    *,
    images_per_second: float | None = None,
) -> list[Price]:
    """The price of each setting, in the order of the table.

    The time is that of finished runs of the setting. If there are none, a few steps are timed on
    this machine.

    Args:
        benchmark: a key of ``published.BENCHMARKS``.
        planned: its runs.
        reproduced: its figures.
        images_per_second: speed of training on another machine, in place of all measured times.
    """
    costs, estimator = costs_of(planned.runs), Estimator(benchmark, images_per_second)
    return [_price(one, costs, estimator) for one in trainings(reproduced)]


def cost_lines(
    found: Sequence[Price], *, minutes: float | None = None, speed: float = 0
) -> list[str]:
    """Write a table of the cost of the unfinished runs, and the sum.

    Args:
        found: the prices.
        minutes: length of the pieces to count; ``None`` counts none.
        speed: the given images per second; 0 if the time was measured.
    """
    header = ["setting", "published", "source", "runs left", "epochs", "trained", "evaluated"]
    rows = [price.cells for price in found]
    guessed = any(not price.measured and price.seconds for price in found)
    notes = [GIVEN.format(speed=speed) if speed else TIMED] if guessed else []
    table = text_table([*header, "time left", "CPU-hours"], rows)
    return [*table, "", _sum(found, minutes), IMAGES, *notes]


def _sum(found: Sequence[Price], minutes: float | None) -> str:
    seconds = sum(price.seconds or 0 for price in found)
    parts = [f"{sum(price.runs for price in found)} runs left", f"{duration(seconds)} in all"]
    if cpu := sum(price.cpu or 0 for price in found):
        parts.append(f"{cpu / 3600:.1f} CPU-hours")
    if minutes:
        parts.append(f"{math.ceil(seconds / 60 / minutes)} pieces of {minutes:g} minutes")
    unknown = sum(bool(price.runs) and price.seconds is None for price in found)
    return ", ".join(parts) + (f", without {unknown} settings of unknown time" if unknown else "")


def _price(one: Reproduced, costs: Costs, estimator: Estimator) -> Price:
    first, rest = one.runs[0], len(left(one.runs))
    given = estimator.images_per_second is not None
    measured = None if given else costs.expected(first)
    estimate = estimator.estimate(first.config, timed=bool(rest) and measured is None)
    seconds = estimate.seconds if measured is None else measured
    cpu = costs.processor(first)
    if measured is None:
        on_cpu = not given and resolve_accelerator(first.config.accelerator) == "cpu"
        cpu = seconds * torch.get_num_threads() if on_cpu and seconds is not None else None
    time = None if seconds is None else rest * seconds
    processor = None if cpu is None else rest * cpu
    return Price(one, rest, estimate, time, processor, measured is not None)
