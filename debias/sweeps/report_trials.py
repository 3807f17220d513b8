"""The trials of a search in a sweep's report: the chosen settings, and the front as a chart."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from debias.csv_files import read_csv
from debias.reports import charts
from debias.reports.charts import Chart
from debias.reports.wording import percent
from debias.sweeps.search.objectives import OBJECTIVES, hypervolume_line, pareto_front

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: The table of trials in the folder of a search.
FILE = "trials.csv"
#: Columns of the table that are no settings.
OTHERS = ("config", "trial", "status", "reason")


class Tried(NamedTuple):
    """The trials of one config.

    Args:
        config: the config.
        objectives: names of the objectives.
        statuses: number of trials by status.
        numbers: numbers of the trials that are done.
        settings: their settings, as text.
        values: their objective values on validation, in the order of ``objectives``.
    """

    config: str
    objectives: tuple[str, ...]
    statuses: Counter[str]
    numbers: list[str]
    settings: list[str]
    values: list[list[float]]

    @property
    def front(self) -> list[int]:
        """Positions of the trials on the Pareto front, in rising order of the first objective."""
        front = pareto_front(self.values, self.objectives)
        return sorted(front, key=lambda place: self.values[place])

    def described(self, place: int) -> str:
        """Name a trial by its number and its values in percent."""
        values = zip(self.objectives, self.values[place], strict=True)
        return f"trial {self.numbers[place]}: " + ", ".join(f"{n} {percent(v)}" for n, v in values)

    def summary(self) -> str:
        """Count the trials, and give the hypervolume of their front if it has one."""
        counts = ", ".join(f"{count} {status}" for status, count in self.statuses.items())
        line = f"{self.config}: {self.statuses.total()} trials: {counts}"
        if len(self.objectives) == 1 or not self.values:
            return line
        return f"{line}; {hypervolume_line(self.values, self.objectives)}"


def tried(out: Path, objectives: Sequence[str]) -> tuple[Tried, ...]:
    """Read the trials of a search from its folder. Empty if the folder has no table of trials.

    Args:
        out: folder of the search.
        objectives: names of its objectives.

    Raises:
        ValueError: the table lacks a column, or a value is no number.
    """
    if not objectives or not (out / FILE).is_file():
        return ()
    columns = read_csv(out / FILE, exact=True)
    configs = columns.column("config")
    keys = [key for key in columns.cells if key not in (*OTHERS, *objectives)]
    found = []
    for config in dict.fromkeys(configs):
        rows = [row for row, name in enumerate(configs) if name == config]
        done = [row for row in rows if columns.column("status")[row] == "done"]
        settings = [
            " ".join(f"{key}={columns.cells[key][row]}" for key in keys if columns.cells[key][row])
            for row in done
        ]
        values = [[float(columns.column(name)[row]) for name in objectives] for row in done]
        statuses = Counter(columns.column("status")[row] for row in rows)
        numbers = [columns.column("trial")[row] for row in done]
        found.append(Tried(config, tuple(objectives), statuses, numbers, settings, values))
    return tuple(found)


def chosen_rows(every: Sequence[Tried]) -> list[list[str]]:
    """One row per chosen trial: config, number, settings, and its objectives in percent."""
    return [
        [one.config, one.numbers[place], one.settings[place], *map(percent, one.values[place])]
        for one in every
        for place in one.front
    ]


def front_charts(every: Sequence[Tried]) -> list[Chart]:
    """Draw the trials of each config that has two objectives, and a line along their front."""
    return [
        _front_chart(f"front{number}", one)
        for number, one in enumerate(every)
        if len(one.objectives) == 2 and one.values
    ]


def _front_chart(name: str, one: Tried) -> Chart:
    drawing = charts.drawing(name, partial(_paint, one=one))
    on_front = "; ".join(map(one.described, one.front))
    words = f"{one.summary()}. On the front: {on_front}"
    legend = [(0, "on the front"), (1, "other trials that are done")]
    return Chart(f"Trials on validation, {one.config}", words, drawing, legend)


def _paint(axes: Axes, one: Tried) -> None:
    """Draw the second objective against the first: a mark per trial, a line along the front."""
    front, quiet = one.front, charts.COLOURS["quiet"][0]
    axes.plot(*zip(*(one.values[place] for place in front), strict=True), color=quiet, linewidth=1)
    others = [place for place in range(len(one.values)) if place not in front]
    for place in (*others, *front):  # an equal trial does not hide one on the front
        first, second = one.values[place]
        charts.add_line(axes, [first], charts.Line([second], 0 if place in front else 1))
    better = ["more" if OBJECTIVES[name].maximize else "less" for name in one.objectives]
    across, upwards = (f"{n} ({b} is better)" for n, b in zip(one.objectives, better, strict=True))
    charts.frame(axes, f"{across};\nupwards {upwards}", share=True, both=True)
    firsts, seconds = zip(*one.values, strict=True)
    axes.set_xlim(min(firsts) - 0.03, max(firsts) + 0.03)
    axes.set_ylim(min(seconds) - 0.03, max(seconds) + 0.03)
