"""Prints the table of an experiment from the table of its runs, best worst group first.

usage: python experiments/table.py EXPERIMENT/runs.csv [MEASURE ...]    # columns of the file
"""

import sys
from pathlib import Path

from debias.csv_files import Columns, read_csv
from debias.reports.tables import Spread, listed, markdown_table, spread_of

SCORES = ("worst_group", "adjusted_average", "average")


def table(path: Path, measures: list[str]) -> list[str]:
    """Lines of a Markdown table: one row per method, mean and deviation over its seeds.

    A repeated run has no method in the file, and is left out. If the file has several data sets,
    each has rows of its own.
    """
    columns = read_csv(path)
    groups = columns.starting("accuracy/")
    data = columns.cells.get("data", [])
    rows: dict[str, list[int]] = {}
    for row, (method, status) in enumerate(
        zip(columns.cells["method"], columns.cells["status"], strict=True)
    ):
        if status == "done" and method:
            name = f"{method}, {data[row]}" if len({*data} - {""}) > 1 else method
            rows.setdefault(name, []).append(row)
    names = [column.replace("_", " ") for column in SCORES]
    names += [*measures, *(group.removeprefix("accuracy/") for group in groups), "s/epoch"]
    ranked = sorted(rows, key=lambda method: (-_mean(columns, "worst_group", rows[method]), method))
    cells = [
        [method, *_cells(columns, rows[method], [*SCORES, *measures], groups)] for method in ranked
    ]
    return markdown_table(["method", "group labels", "seeds", *names], cells)


def _cells(columns: Columns, rows: list[int], scores: list[str], groups: list[str]) -> list[str]:
    seeds = sorted(int(columns.cells["seed"][row]) for row in rows)
    return [
        columns.cells["group_labels"][rows[0]],
        listed(seeds),
        *(_spread(columns, score, rows).text for score in scores),
        *(f"{100 * _mean(columns, group, rows):.1f}" for group in groups),
        f"{_mean(columns, 'seconds_per_epoch', rows):.1f}",
    ]


def _spread(columns: Columns, name: str, rows: list[int]) -> Spread:
    cells = columns.column(name)
    return spread_of([float(cells[row]) if cells[row] else None for row in rows])


def _mean(columns: Columns, name: str, rows: list[int]) -> float:
    mean = _spread(columns, name, rows).mean
    return float("nan") if mean is None else mean


if __name__ == "__main__":
    print("\n".join(table(Path(sys.argv[1]), sys.argv[2:])))
