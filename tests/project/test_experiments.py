"""Every result table of an experiment is printed from the table of its runs."""

import runpy
from pathlib import Path

import pytest

EXPERIMENTS = Path(__file__).parents[2] / "experiments"
MEASURES = ("leakage/features", "background_robustness")
FILES = {
    "architectures/runs.csv": (),
    "architectures/waterbirds_small.csv": (),
    "drawn_birds/runs.csv": (),
    "drawn_birds/later.csv": (),
    "translation/runs.csv": (),
    "concepts/runs.csv": (),
    "made_cues/coloured.csv": (),
    "waterbirds_lite0/runs.csv": MEASURES,
    "waterbirds_lite0/heads.csv": (),
    "zero_shot/runs.csv": (),
}


def rows_of(text: str) -> list[dict[str, str]]:
    """The rows of every Markdown table that lists methods, by the names of their columns."""
    rows, header = [], []
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")] if line[:1] == "|" else []
        if not cells or cells[0] == "method":
            header = cells
        elif header and set(cells[0]) != {"-"}:
            rows.append(dict(zip(header, cells, strict=True)))
    return rows


@pytest.mark.parametrize(
    "folder",
    sorted({name.partition("/")[0] for name in FILES}),
)
def test_tables_are_those_of_the_runs(folder):
    """Each row of the page is a printed one, column by column; the page may leave columns out."""
    printed = {}
    lines_of = runpy.run_path(str(EXPERIMENTS / "table.py"))["table"]
    for name, measures in FILES.items():
        if name.startswith(folder):
            table = "\n".join(lines_of(EXPERIMENTS / name, list(measures)))
            printed |= {(name, row["method"]): row for row in rows_of(table)}
    found = rows_of((EXPERIMENTS / folder / "README.md").read_text(encoding="utf-8"))
    assert len(found) >= len(printed)
    for row in found:
        assert any(row.items() <= of.items() for of in printed.values()), row


def test_data_sets_and_repeated_runs_are_no_seeds(tmp_path):
    """A method has a mean on each data set; a run that repeats another one has no method."""
    cells = [("erm", 0, "a", 0.5), ("erm", 1, "a", 0.7), ("erm", 0, "b", 0.9), ("", 0, "", 0.1)]
    lines = ["method,seed,data,worst_group,adjusted_average,average,seconds_per_epoch"]
    lines += [f"{method},{seed},{data},{worst},,,1" for method, seed, data, worst in cells]
    ends = [",status,group_labels", *[",done,val"] * 4]
    file = tmp_path / "runs.csv"
    file.write_text("\n".join(map("".join, zip(lines, ends, strict=True))))
    printed = rows_of("\n".join(runpy.run_path(str(EXPERIMENTS / "table.py"))["table"](file, [])))
    found = [(row["method"], row["seeds"], row["worst group"]) for row in printed]
    assert found == [("erm, b", "0", "90.0 ± -"), ("erm, a", "0, 1", "60.0 ± 14.1")]


def test_the_table_of_empty_groups_is_that_of_the_runs():
    folder = EXPERIMENTS / "empty_groups"
    lines = runpy.run_path(str(folder / "table.py"))["table"](folder / "runs.csv")
    assert "\n".join(lines) in (folder / "README.md").read_text(encoding="utf-8")
