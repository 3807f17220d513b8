"""Heat map, bars and curves of several methods: values by hand, limits, and what is left out."""

import re
from pathlib import Path

import pytest

from debias.reports import method_views
from debias.reports.comparison import Comparison, compare
from debias.reports.method_views import MethodViews
from tests.reports.sample_runs import NAMES, finished_run, sample_report


def views(folder: Path) -> MethodViews:
    return method_views.method_views(compare([folder]), "curves")


def make(folder: Path, *accuracies: float | None, strategy: str = "erm", seed: int = 0) -> None:
    report = sample_report(strategy=strategy, seed=seed, accuracies=accuracies)
    finished_run(folder / f"{strategy}-{seed}", report)


def test_heat_map_by_hand(tmp_path: Path) -> None:
    """ERM has means 0.9, 0.8, 0.3, 0.7 over two seeds; 0.3 is the lowest of the map, 0.9 the
    highest, so 0.6 has half of the strongest shade. Group DRO has no image of the first group.
    """
    make(tmp_path, 0.9, 0.8, 0.2, 0.7)
    make(tmp_path, 0.9, 0.8, 0.4, 0.7, seed=1)
    make(tmp_path, None, 0.6, 0.7, 0.8, strategy="group_dro")
    heat = views(tmp_path).heat
    assert heat is not None
    assert heat.groups == list(NAMES)
    assert (heat.lowest, heat.highest, heat.total) == (pytest.approx(0.3), 0.9, 4)
    (first, dro), (second, erm) = heat.rows
    assert (first, second) == ("group_dro", "erm")
    assert [cell.accuracy for cell in dro] == [None, 0.6, 0.7, 0.8]
    assert [cell.worst for cell in dro] == [False, True, False, False]
    assert [cell.worst for cell in erm] == [False, False, True, False]
    strongest = method_views.STRONGEST
    assert [cell.shade for cell in dro[:2]] == pytest.approx([0, strongest / 2])
    assert [cell.shade for cell in (erm[0], erm[2])] == pytest.approx([0, strongest])


def test_equal_accuracies_have_no_colour(tmp_path: Path) -> None:
    make(tmp_path, 0.5, 0.5, 0.5, 0.5)
    heat = views(tmp_path).heat
    assert heat is not None
    assert [cell.shade for cell in heat.rows[0][1]] == [0, 0, 0, 0]


def test_of_many_groups_the_least_accurate_of_any_method_are_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lowest accuracies by group are 0.5, 0.8, 0.3 and 0.7: the two lowest keep their order."""
    monkeypatch.setattr(method_views, "MOST_COLUMNS", 2)
    monkeypatch.setattr(method_views, "MOST_BLOCKS", 1)
    monkeypatch.setattr(method_views, "MOST_METHODS", 1)
    make(tmp_path, 0.9, 0.8, 0.3, 0.7)
    make(tmp_path, 0.5, 0.85, 0.9, 0.95, strategy="group_dro")
    found = views(tmp_path)
    assert found.heat is not None
    assert (found.heat.groups, found.heat.total) == (["landbird-land", "waterbird-land"], 4)
    assert found.names == ["group_dro"]
    assert [block.title for block in found.blocks] == ["Worst group", "Average", "landbird-land"]


def test_bars_are_those_of_the_table(tmp_path: Path) -> None:
    make(tmp_path, 0.9, 0.8, 0.3, 0.7)
    make(tmp_path, 0.5, 0.85, 0.9, 0.95, strategy="group_dro")
    blocks = {block.title: block.bars for block in views(tmp_path).blocks}
    assert list(blocks) == ["Worst group", "Average", *NAMES]
    assert [(number, bar.mean) for number, bar in blocks["Worst group"]] == [(0, 0.5), (1, 0.3)]
    assert [bar.mean for _, bar in blocks["waterbird-land"]] == [0.9, 0.3]


def test_every_run_has_a_curve_and_a_mark_at_its_epoch(tmp_path: Path) -> None:
    """Each run has a line and a mark; at the last of four epochs the accuracies are the final
    ones, and epoch 0 has half of them.
    """
    make(tmp_path, 0.9, 0.8, 0.3, 0.7)
    make(tmp_path, 0.9, 0.8, 0.4, 0.7, seed=1)
    report = sample_report(strategy="group_dro", accuracies=(0.9, 0.8, 0.6, 0.7))
    report["selection"]["epoch"] = 0
    finished_run(tmp_path / "dro", report)
    refit = sample_report(strategy="dfr") | {"history": []}
    finished_run(tmp_path / "dfr", refit)
    found = views(tmp_path)
    chart = found.curves
    assert (found.runs, found.drawn) == (3, 3)
    assert chart is not None
    assert chart.summary == (
        "group_dro: seed 0 selected epoch 0 with 30.0 %; "
        "erm: seed 0 selected epoch 3 with 30.0 %, seed 1 selected epoch 3 with 40.0 %"
    )
    assert chart.legend == [(1, "group_dro"), (2, "erm")]
    assert re.findall(r'data-series="(\d)"', chart.svg) == ["1", "1", *["2"] * 4]
    assert chart.svg.count("stroke-width: 1.3") == 3


def test_no_method_has_no_view() -> None:
    assert method_views.method_views(Comparison(()), "curves") == MethodViews(
        None,
        [],
        [method_views.Block("Worst class", []), method_views.Block("Average", [])],
        None,
        0,
    )
