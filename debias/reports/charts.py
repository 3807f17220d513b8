"""Curves over the epochs, as SVG text that takes its colours from the page: light, dark, and the
same in each chart.
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

#: Names the page may colour: (on a light page, on a dark page). Okabe and Ito's hues, dark or light
#: enough for 3:1.
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
    """One value per epoch (or ``None``), and its group; -1 is all images together."""

    values: Sequence[float | None]
    group: int = -1
    dashed: bool = False


class Chart(NamedTuple):
    """A drawing, the same in words, and what its marks stand for."""

    title: str
    summary: str
    svg: str
    legend: list[tuple[int, str]]


def group_colour(group: int) -> str:
    """Name of a group's colour, the same in every chart and table."""
    return f"group-{group % GROUP_COLOURS}"


def group_marker(group: int) -> str:
    """A group's marker in the charts, which tells it apart where colour cannot."""
    markers = list(MARKERS)
    return markers[(group + group // GROUP_COLOURS) % len(markers)]


def drawing(name: str, paint: Callable[[Axes], None]) -> str:
    """An ``<svg>`` element of what ``paint`` draws on axes, with the page's CSS colours."""
    # Without pyplot there is no figure to close and no global state to disturb.
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context({"svg.fonttype": "none", "svg.hashsalt": name, "font.size": 10}):
        figure = Figure(figsize=(3.9, 2.6), layout="constrained")
        paint(figure.add_subplot())
        file = io.StringIO()
        unsaid = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(file, format="svg", transparent=True, metadata=unsaid)
    return _themed(name, file.getvalue())


def families(history: Sequence[Epoch], groups: Sequence[str]) -> dict[str, list[Line]]:
    """What training logged once per group: ``group_weight/<group>`` is a line per group."""
    found: dict[str, list[Line]] = {}
    keys = dict.fromkeys(key for epoch in history for key in epoch.train)
    for group, name in enumerate(groups):
        for key in (key for key in keys if key.endswith(f"/{name}")):
            values = [epoch.train.get(key) for epoch in history]
            found.setdefault(key.removesuffix(f"/{name}"), []).append(Line(values, group))
    return found


def add_line(axes: Axes, places: Sequence[float], line: Line) -> None:
    """One line, with markers unless there are many; an undefined value leaves a gap."""
    values = [MISSING if value is None else value for value in line.values]
    whole = line.group < 0
    marker = "." if whole else group_marker(line.group)
    axes.plot(
        places,
        values,
        color=COLOURS["quiet" if whole else group_colour(line.group)][0],
        linewidth=1.8,
        linestyle=(0, (4, 2)) if line.dashed else "-",
        marker=marker if len(places) <= MOST_MARKERS else None,
        markersize=4.5,
    )


def frame(axes: Axes, label: str, *, share: bool, both: bool = False) -> None:
    """The look of every chart: a quiet grid, the axis's name, and percent for fractions.

    Args:
        axes: to draw on.
        label: of the horizontal axis.
        share: the values are fractions, shown in percent from 0 to 100.
        both: the horizontal axis has fractions, too.
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


def mark_epochs(axes: Axes, epochs: Sequence[int], chosen: int) -> None:
    """Whole numbers below, and a vertical line at the epoch whose weights were used."""
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    if len(epochs) == 1:
        axes.set_xlim(epochs[0] - 0.5, epochs[0] + 0.5)
    axes.axvline(chosen, color=COLOURS["ink"][0], linewidth=0.9, zorder=1)


def _themed(name: str, svg: str) -> str:
    svg = svg[svg.index("<svg") :].strip()
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{name}-", svg)
    svg = svg.replace("<svg ", '<svg aria-hidden="true" focusable="false" ', 1)
    for variable, (light, _) in COLOURS.items():
        svg = svg.replace(light, f"var(--{variable})")
    return svg
