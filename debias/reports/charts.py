"""Draw charts as SVG text with the colours of the page, in light and dark mode.

A group has the same colour and marker in every chart.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from debias.reports.record import Epoch

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MISSING = float("nan")
MOST_MARKERS = 40

#: The colours of a page by name: (on a light page, on a dark page). The hues are those of Okabe and
#: Ito, with a contrast of at least 3:1 to the background.
COLOURS: dict[str, tuple[str, str]] = {
    "ink": ("#1d2126", "#e7e9ec"),
    "quiet": ("#5c6570", "#a3acb7"),
    "line": ("#d9dde2", "#363c44"),
    "group-0": ("#0b6cb0", "#58aef0"),
    "group-1": ("#c44e06", "#f28d4f"),
    "group-2": ("#00795a", "#3ec498"),
    "group-3": ("#9c4278", "#e391c4"),
    "group-4": ("#866400", "#dcb53c"),
    "group-5": ("#237f9b", "#7ccfe4"),
    "group-6": ("#6a5746", "#c4b19b"),
    "group-7": ("#4b4f9e", "#a9aef5"),
}
GROUP_COLOURS = sum(name.startswith("group-") for name in COLOURS)
MARKERS = {"o": "●", "s": "■", "^": "▲", "D": "◆", "v": "▼", "P": "✚", "X": "✖", "*": "★"}


class Line(NamedTuple):
    """A line of a chart.

    Attributes:
        values: one value per point; ``None`` leaves a gap.
        group: number of the group, which determines colour and marker; -1 means all images.
        dashed: whether the line is dashed.
    """

    values: Sequence[float | None]
    group: int = -1
    dashed: bool = False


class Chart(NamedTuple):
    """A chart of a page.

    Attributes:
        title: its heading.
        summary: its contents in words, for screen readers.
        svg: the drawing, an ``<svg>`` element.
        legend: number (for colour and marker) and name of each line.
    """

    title: str
    summary: str
    svg: str
    legend: list[tuple[int, str]]


def group_colour(group: int) -> str:
    """Name of a group's colour in ``COLOURS``. Colours repeat after eight groups."""
    return f"group-{group % GROUP_COLOURS}"


def group_marker(group: int) -> str:
    """A group's marker in the charts. It differs between groups of the same colour."""
    markers = list(MARKERS)
    return markers[(group + group // GROUP_COLOURS) % len(markers)]


def drawing(
    name: str, paint: Callable[[Axes], None], *, size: tuple[float, float] = (3.9, 2.6)
) -> str:
    """Make an ``<svg>`` element with the page's CSS colours.

    Args:
        name: prefix of the ids in the element, unique on the page.
        paint: function that draws the contents on the given axes.
        size: width and height in inches, for text of 10 points.
    """
    # without pyplot there is no figure to close and no global state to change
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context({"svg.fonttype": "none", "svg.hashsalt": name, "font.size": 10}):
        figure = Figure(figsize=size, layout="constrained")
        paint(figure.add_subplot())
        file = io.StringIO()
        omitted = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(file, format="svg", transparent=True, metadata=omitted)
    return _themed(name, file.getvalue())


def families(history: Sequence[Epoch], groups: Sequence[str]) -> dict[str, list[Line]]:
    """Collect the training logs that have one value per group, such as ``group_weight/<group>``.

    Args:
        history: the epochs of a run.
        groups: names of the groups.

    Returns:
        For each such log, such as ``group_weight``, one line per group over the epochs.
    """
    lines: dict[str, list[Line]] = {}
    keys = dict.fromkeys(key for epoch in history for key in epoch.train)
    for group, name in enumerate(groups):
        for key in (key for key in keys if key.endswith(f"/{name}")):
            values = [epoch.train.get(key) for epoch in history]
            lines.setdefault(key.removesuffix(f"/{name}"), []).append(Line(values, group))
    return lines


def add_line(axes: Axes, places: Sequence[float], line: Line) -> None:
    """Draw one line, with markers if there are at most ``MOST_MARKERS`` points.

    Args:
        axes: axes to draw on.
        places: horizontal position of each point.
        line: the values, and the group for colour and marker. ``None`` leaves a gap.
    """
    values = [MISSING if value is None else value for value in line.values]
    ungrouped = line.group < 0
    marker = "." if ungrouped else group_marker(line.group)
    axes.plot(
        places,
        values,
        color=COLOURS["quiet" if ungrouped else group_colour(line.group)][0],
        linewidth=1.8,
        linestyle=(0, (4, 2)) if line.dashed else "-",
        marker=marker if len(places) <= MOST_MARKERS else None,
        markersize=4.5,
    )


def add_run(
    axes: Axes, epochs: Sequence[int], values: Sequence[float | None], series: int, chosen: int
) -> None:
    """Draw the curve of one run, with a mark at the selected epoch.

    Args:
        axes: axes to draw on.
        epochs: the epochs of the run.
        values: one value per epoch; ``None`` leaves a gap.
        series: number of the run's method, for colour, marker and the legend that hides it.
        chosen: the selected epoch. Without a value there, the curve has no mark.
    """
    points = {
        epoch: MISSING if value is None else value
        for epoch, value in zip(epochs, values, strict=True)
    }
    colour, name = COLOURS[group_colour(series)][0], f"series-{series}"
    axes.plot(list(points), list(points.values()), color=colour, gid=name, linewidth=1.3)
    if chosen in points:
        axes.plot(
            [chosen],
            [points[chosen]],
            color=colour,
            gid=name,
            marker=group_marker(series),
            markersize=7,
            linestyle="none",
        )


def frame(axes: Axes, label: str, *, share: bool, both: bool = False) -> None:
    """Give a chart the common look: a light grid, a label below, and percent for fractions.

    Args:
        axes: axes to draw on.
        label: label of the horizontal axis.
        share: whether the values are fractions, shown from 0 % to 100 %.
        both: whether the horizontal axis also has fractions.
    """
    from matplotlib.ticker import FuncFormatter

    quiet, line = COLOURS["quiet"][0], COLOURS["line"][0]
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(quiet)
    axes.grid(axis="y", color=line, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(colors=quiet, length=0)
    axes.set_xlabel(label, color=quiet)
    axes.margins(x=0.03)
    if share:
        axes.set_ylim(-0.02, 1.02)
    for axis in (axes.yaxis,) * share + (axes.xaxis,) * both:
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.0f} %"))


def whole_epochs(axes: Axes) -> None:
    """Label the horizontal axis with whole numbers only."""
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))


def mark_epochs(axes: Axes, epochs: Sequence[int], chosen: int) -> None:
    """Label the horizontal axis with whole epochs, and mark the selected one by a vertical line.

    Args:
        axes: axes to draw on.
        epochs: all epochs of the chart.
        chosen: the epoch whose weights were evaluated.
    """
    whole_epochs(axes)
    if len(epochs) == 1:
        axes.set_xlim(epochs[0] - 0.5, epochs[0] + 0.5)
    axes.axvline(chosen, color=COLOURS["ink"][0], linewidth=0.9, zorder=1)


def _themed(name: str, svg: str) -> str:
    svg = svg[svg.index("<svg") :].strip()
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'\bid="series-(\d+)"', r'data-series="\1"', svg)
    svg = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{name}-", svg)
    svg = svg.replace("<svg ", '<svg aria-hidden="true" focusable="false" ', 1)
    for variable, (light, _) in COLOURS.items():
        svg = svg.replace(light, f"var(--{variable})")
    return svg
