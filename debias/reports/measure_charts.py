"""Charts of measures on a run's page: amplification per pair, calibration, frequency bands."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from debias.json_files import Json
from debias.metrics.families import FAMILIES
from debias.reports import charts
from debias.reports.charts import Chart, Line
from debias.reports.wording import percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Row = Json

#: Largest numbers of bars, outcomes and bias values in a chart. Those with the greatest change, the
#: greatest calibration error and the most images are drawn.
MOST_BARS = 24
MOST_OUTCOMES = 6
MOST_BIASES = 8


class Bar(NamedTuple):
    """The amplification of one (target, bias) pair as a bar.

    Attributes:
        target: name of the target.
        bias: name of the bias value.
        change: the change from labels to predictions, as a fraction; ``None`` if undefined.
        left: left end of the bar, on an axis from 0 to 1 with no change at 0.5.
        width: length of the bar on this axis.
    """

    target: str
    bias: str
    change: float | None
    left: float
    width: float


class Bars(NamedTuple):
    """The chart of bias amplification for each pair of target and bias value.

    Attributes:
        bars: the pairs with the greatest changes, at most ``MOST_BARS``.
        most: the greatest absolute change, at the ends of the axis.
        pairs: number of all pairs of target and bias value.
    """

    bars: list[Bar]
    most: float
    pairs: int


class Charts(NamedTuple):
    """Charts with a common legend.

    Attributes:
        charts: the charts.
        outcomes: number of all outcomes, drawn or not; 0 if the charts have none.
        biases: number of all bias values, drawn or not; 0 if the charts have none.
    """

    charts: list[Chart]
    outcomes: int = 0
    biases: int = 0

    @property
    def legend(self) -> list[tuple[int, str]]:
        """Number (for colour and marker) and name of each line."""
        return self.charts[0].legend


def amplification(curves: Json) -> Bars | None:
    """Make the bars of the amplification of (target, bias) pairs; ``None`` if it was not measured.

    The bars are drawn in HTML, not by matplotlib, which reads some names as formulas and lacks the
    letters of others.
    """
    curve = curves.get("amplification")
    if not curve:
        return None
    pairs = [
        (target, bias, change)
        for target, changes in zip(curve["targets"], curve["change"], strict=True)
        for bias, change in zip(curve["biases"], changes, strict=True)
    ]
    most = max((abs(change) for *_, change in pairs if change is not None), default=0.0)
    places = sorted(range(len(pairs)), key=lambda place: -abs(pairs[place][2] or 0.0))[:MOST_BARS]
    bars = [_bar(*pairs[place], most) for place in sorted(places)]
    return Bars(bars, most, len(pairs))


def reliability(curves: Json) -> Charts | None:
    """Draw reliability diagrams: one chart per outcome, with one line per bias value.

    A line shows the accuracy over the confidence. ``None`` if calibration was not measured.
    """
    rows = curves.get("reliability")
    if not rows:
        return None
    names = list(dict.fromkeys(row["bias"] for row in rows))
    outcomes = list(dict.fromkeys(row["outcome"] for row in rows))
    curves_of = {
        outcome: _most_frequent([row for row in rows if row["outcome"] == outcome])
        for outcome in outcomes
    }
    order = sorted(outcomes, key=lambda outcome: -max(map(_error, curves_of[outcome])))
    shown = [outcome for outcome in outcomes if outcome in order[:MOST_OUTCOMES]]
    drawn = [
        _reliability_chart(place, outcome, curves_of[outcome], names)
        for place, outcome in enumerate(shown)
    ]
    return Charts(drawn, len(outcomes), len(names))


def band_pass(curves: Json) -> Charts | None:
    """Draw the accuracy on low-pass and high-pass images over the kept width of the spectrum.

    ``None`` if it was not measured.
    """
    curve = curves.get("band_pass")
    if not curve or not curve["cutoffs"]:
        return None
    lines = {
        "low frequencies": Line(curve["low_pass"], 0),
        "high frequencies": Line(curve["high_pass"], 1),
    }

    def paint(axes: Axes) -> None:
        """Draw the lines of low and high frequencies."""
        for line in lines.values():
            charts.add_line(axes, curve["cutoffs"], line)
        charts.frame(axes, "share of the spectrum's width kept", share=True, both=True)

    ends = "; ".join(
        f"{name}: from {percent(line.values[0])} % with {100 * curve['cutoffs'][0]:g} % of the "
        f"spectrum's width to {percent(line.values[-1])} % with {100 * curve['cutoffs'][-1]:g} %"
        for name, line in lines.items()
    )
    legend = [(line.group, name) for name, line in lines.items()]
    chart = Chart("Accuracy by kept frequencies", ends, charts.drawing("band", paint), legend)
    return Charts([chart])


#: The function that draws each curve, by the curve's name in a family of measures.
DRAWN: dict[str, Callable[[Json], Bars | Charts | None]] = {
    "amplification": amplification,
    "reliability": reliability,
    "band_pass": band_pass,
}


def drawings(curves: Json) -> dict[str, Bars | Charts | None]:
    """Draw the chart of each family that has one; ``None`` if its curve was not measured."""
    drawn = {name: DRAWN.get(family.curve) for name, family in FAMILIES.items()}
    return {name: draw(curves) for name, draw in drawn.items() if draw}


def _bar(target: str, bias: str, change: float | None, most: float) -> Bar:
    share = 0.0 if change is None or most == 0 else 0.5 * change / most
    return Bar(target, bias, change, 0.5 + min(share, 0.0), abs(share))


def _most_frequent(rows: Sequence[Row]) -> list[Row]:
    """Keep the curves of the ``MOST_BIASES`` bias values with most images, in their order."""
    largest = sorted(rows, key=lambda row: -sum(row["samples"]))[:MOST_BIASES]
    return [row for row in rows if row in largest]


def _error(row: Row) -> float:
    """Expected calibration error of one curve; 0 without images."""
    gaps = [samples * abs(confidence - right) for samples, confidence, right in _points(row)]
    return sum(gaps) / max(1, sum(row["samples"]))


def _points(row: Row) -> list[tuple[int, float, float]]:
    """Number of images, confidence and accuracy of each bin that has images."""
    columns = zip(row["samples"], row["confidence"], row["accuracy"], strict=True)
    return [
        (int(samples), confidence, right)
        for samples, confidence, right in columns
        if confidence is not None and right is not None
    ]


def _reliability_chart(
    place: int, outcome: str, rows: Sequence[Row], names: Sequence[str]
) -> Chart:
    counts = [sum(column) for column in zip(*(row["samples"] for row in rows), strict=True)]
    width = 1 / len(counts)
    low = width * next((number for number, count in enumerate(counts) if count), 0)

    def paint(axes: Axes) -> None:
        """Draw the image counts as bars, the diagonal, and one curve per bias value."""
        heights = [0.25 * count / max(1, *counts) for count in counts]
        middles = [(number + 0.5) * width for number in range(len(counts))]
        axes.bar(middles, heights, width=0.9 * width, color=charts.COLOURS["line"][0], zorder=0)
        axes.plot([0, 1], [0, 1], color=charts.COLOURS["quiet"][0], linewidth=0.9)
        for row in rows:
            points = _points(row)
            line = Line([right for *_, right in points], names.index(row["bias"]))
            charts.add_line(axes, [confidence for _, confidence, _ in points], line)
        charts.frame(axes, "confidence", share=True, both=True)
        axes.set_xlim(low - 0.02, 1.02)

    title = f"Calibration: {outcome}" if outcome else "Calibration of the decisions"
    summary = "; ".join(map(_summary, rows))
    legend = [(names.index(row["bias"]), row["bias"]) for row in rows]
    return Chart(title, summary, charts.drawing(f"reliability{place}", paint), legend)


def _summary(row: Row) -> str:
    """Describe one reliability curve: mean confidence, accuracy and calibration error."""
    points, images = _points(row), sum(row["samples"])
    if not images:
        return f"{row['bias']}: no images"
    mean = sum(samples * confidence for samples, confidence, _ in points) / images
    right = sum(samples * accuracy for samples, _, accuracy in points) / images
    return (
        f"{row['bias']}: confidence {percent(mean)} %, right {percent(right)} %, calibration error "
        f"{percent(_error(row))} % of {images:,.0f} images"
    )
