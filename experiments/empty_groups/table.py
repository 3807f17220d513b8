"""Prints the accuracy on each group where training does not have it, and the worst group then.

usage: python experiments/empty_groups/table.py experiments/empty_groups/runs.csv
"""

import sys
from pathlib import Path

from debias.csv_files import read_csv
from debias.reports.tables import markdown_table, spread_of


def table(path: Path) -> list[str]:
    """Lines of a Markdown table: one row per method, mean and deviation over its seeds."""
    columns = read_csv(path)
    absent = [text.split("'")[1] for text in columns.cells["data"]]
    groups = list(dict.fromkeys(absent))
    found: dict[str, dict[str, list[float]]] = {}
    for row, (method, group) in enumerate(zip(columns.cells["method"], absent, strict=True)):
        scores = found.setdefault(method, {name: [] for name in [*groups, "worst group"]})
        scores[group].append(float(columns.cells[f"accuracy/{group}"][row]))
        scores["worst group"].append(float(columns.cells["worst_group"][row]))
    rows = [
        [method, *(spread_of(values).text for values in scores.values())]
        for method, scores in found.items()
    ]
    return markdown_table(["method", *groups, "worst group, all four"], rows)


if __name__ == "__main__":
    print("\n".join(table(Path(sys.argv[1]))))
