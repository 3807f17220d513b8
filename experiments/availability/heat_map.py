"""The bias of each cell of the sweep, as a table and a heat map.

usage: python experiments/availability/heat_map.py OUT [PICTURE.png]

Bias is the reliance of a run on the shortcut minus that of the best observer, in percent points,
averaged over the seeds. Rows are predictivities of the shortcut, columns are the amplification of
the shortcut divided by that of the core.
"""

import sys
from collections import defaultdict
from pathlib import Path
from statistics import mean

from matplotlib import pyplot

from debias.metrics.shortcuts.reliance import bayes_reliance
from debias.reports.record import read_report
from debias.reports.tables import markdown_table


def main(out: Path, picture: Path | None = None) -> None:
    """Print the table in Markdown, and draw the heat map if a file is named."""
    cells = biases(out)
    if not cells:
        sys.exit(f"{out} has no finished run: train the sweep, or give its folder")
    shares = sorted({share for share, _ in cells})
    ratios = sorted({ratio for _, ratio in cells})
    table = [[cells.get((share, ratio)) for ratio in ratios] for share in shares]
    rows = [
        [f"{share:g}", *("-" if bias is None else f"{bias:+.1f}" for bias in row)]
        for share, row in zip(shares, table, strict=True)
    ]
    print("\n".join(markdown_table(["predictivity", *(f"{ratio:g}" for ratio in ratios)], rows)))
    if picture is not None:
        values = [[float("nan") if bias is None else bias for bias in row] for row in table]
        draw(picture, values, [f"{share:g}" for share in shares], [f"{r:g}" for r in ratios])


def biases(out: Path) -> dict[tuple[float, float], float]:
    """Mean bias in percent points, by predictivity of the shortcut and ratio of amplifications."""
    found = defaultdict(list)
    for path in sorted(out.glob("*/report.json")):
        report = read_report(path.parent)
        data = report.config["data"]
        predictivity = data.get("predictivity", [0.85, 0.9])
        amplification = data.get("amplification", [1.0, 1.0])
        reliance = report.measures["shortcuts"]["shortcut_fraction"]
        bias = 100 * (reliance - bayes_reliance(*predictivity))
        found[predictivity[0], amplification[0] / amplification[1]].append(bias)
    return {cell: mean(values) for cell, values in found.items()}


def draw(picture: Path, values: list[list[float]], rows: list[str], columns: list[str]) -> None:
    """Draw the heat map, blue for less than the best reliance and red for more."""
    figure, axes = pyplot.subplots(figsize=(5, 4))
    image = axes.imshow(values, cmap="coolwarm", vmin=-60, vmax=60, origin="lower")
    axes.set_xticks(range(len(columns)), columns)
    axes.set_yticks(range(len(rows)), rows)
    axes.set(xlabel="amplification of the shortcut / of the core", ylabel="predictivity")
    figure.colorbar(image, label="bias in percent points")
    figure.savefig(picture, bbox_inches="tight")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
