"""The trials of a search in the report of its folder: chosen ones, front and hypervolume."""

from collections.abc import Callable
from pathlib import Path

import pytest

from debias.config import EXECUTION
from debias.sweeps.files import write_plan
from debias.sweeps.plan import plan
from debias.sweeps.protocol import Protocol, write_protocol
from debias.sweeps.report import Results, results
from debias.sweeps.report_formats import formatted
from debias.sweeps.report_tables import ReportTable, tables
from debias.sweeps.report_trials import front_charts
from tests.reports.test_page import Page
from tests.sweeps.finished_runs import finish

TITLE = "Chosen trials of the search"
#: Trials 0, 2 and 4 are on the front, and 5 equals 2. Trial 1 is behind 0.
TRIALS = """\
config,trial,status,average,worst_group_gap,model.name,optimizer.lr,reason
drawn_birds,0,done,0.8,0.2,resnet18,0.1,
drawn_birds,1,done,0.75,0.25,resnet18,,
drawn_birds,2,done,0.9,0.5,resnet34,0.3,
drawn_birds,3,pruned,,,resnet34,0.2,pruned after epoch 2 of 8
drawn_birds,4,done,0.85,0.3,,0.2,
drawn_birds,5,done,0.9,0.5,resnet34,0.31,
"""


@pytest.fixture
def searched(sweep: Callable[[str], Path]) -> Callable[..., Results]:
    """The folder of a search with one final run."""
    planned = plan(sweep("configs: [drawn_birds]"))
    write_plan(planned)
    finish(planned.runs[0], worst=0.5)

    def read(objectives: tuple[str, ...], trials: str = TRIALS) -> Results:
        write_protocol(planned.out, Protocol("validation_groups_known", objectives, 6, (0,), (1,)))
        (planned.out / "trials.csv").write_text(trials)
        return results(planned.out, ignore=EXECUTION)

    return read


def chosen(found: Results) -> ReportTable:
    return next(table for table in tables(found) if table.title == TITLE)


def test_front_of_two_objectives(searched):
    """Volume: 0.8 x 0.8 up to average 0.8, then 0.05 x 0.7 and 0.05 x 0.5."""
    found = searched(("average", "worst_group_gap"))
    table = chosen(found)
    assert table.header == ["config", "trial", "settings", "average", "worst_group_gap"]
    assert table.rows == [
        ["drawn_birds", "0", "model.name=resnet18 optimizer.lr=0.1", "80.0", "20.0"],
        ["drawn_birds", "4", "optimizer.lr=0.2", "85.0", "30.0"],
        ["drawn_birds", "2", "model.name=resnet34 optimizer.lr=0.3", "90.0", "50.0"],
    ]
    assert table.note.endswith(
        "drawn_birds: 6 trials: 5 done, 1 pruned; "
        "hypervolume 0.700 of 1 (from average 0, worst_group_gap 100)."
    )


def test_every_format_but_the_table_of_runs_has_the_trials(searched):
    found = searched(("average", "worst_group_gap"))
    written = {
        name: formatted(found, name, found.out, EXECUTION)
        for name in ("markdown", "latex", "csv", "html")
    }
    assert "| drawn_birds | 4 | optimizer.lr=0.2 | 85.0 | 30.0 |" in written["markdown"]
    assert "optimizer.lr=0.2 & 85.0 & 30.0" in written["latex"]
    assert "resnet34" not in written["csv"]
    text = Page(written["html"]).text
    assert TITLE in text
    assert "The charts of trials show the search, on validation." in text
    assert "hypervolume 0.700 of 1" in text


def test_chart_of_the_front(searched, monkeypatch):
    """A mark per finished trial, and the front from left to right, without the equal trial."""
    drawn: list[tuple[list[float], list[float]]] = []

    class Axes:
        """Takes what is drawn."""

        def plot(self, across, upwards, **options) -> None:
            drawn.append((list(across), list(upwards)))

        def set_xlim(self, low, high) -> None:
            assert (low, high) == pytest.approx((0.72, 0.93))

        def set_ylim(self, low, high) -> None:
            assert (low, high) == pytest.approx((0.17, 0.53))

    monkeypatch.setattr("debias.reports.charts.drawing", lambda name, paint: paint(Axes()) or name)
    monkeypatch.setattr("debias.reports.charts.frame", lambda axes, label, **options: None)
    (chart,) = front_charts(searched(("average", "worst_group_gap")).trials)
    assert drawn[0] == ([0.8, 0.85, 0.9], [0.2, 0.3, 0.5])
    # trial 5 equals trial 2 and is drawn below it
    marks = [(0.75, 0.25), (0.9, 0.5), (0.8, 0.2), (0.85, 0.3), (0.9, 0.5)]
    assert drawn[1:] == [([x], [y]) for x, y in marks]
    assert chart.summary.endswith(
        "On the front: trial 0: average 80.0, worst_group_gap 20.0; trial 4: average 85.0, "
        "worst_group_gap 30.0; trial 2: average 90.0, worst_group_gap 50.0"
    )


def test_one_objective_has_a_best_trial_and_no_chart(searched):
    found = searched(("average",), TRIALS.replace(",worst_group_gap", ",model.pooling"))
    assert [row[1] for row in chosen(found).rows] == ["2"]
    assert chosen(found).note.endswith("drawn_birds: 6 trials: 5 done, 1 pruned.")
    assert front_charts(found.trials) == []


def test_each_config_has_its_own_front(searched):
    more = "drawn_birds/irm,0,done,0.1,0.9,,0.5,\ndrawn_birds/coral,0,failed,,,,0.5,OSError\n"
    found = searched(("average", "worst_group_gap"), TRIALS + more)
    assert [row[:2] for row in chosen(found).rows][-1] == ["drawn_birds/irm", "0"]
    assert [chart.title for chart in front_charts(found.trials)] == [
        "Trials on validation, drawn_birds",
        "Trials on validation, drawn_birds/irm",
    ]
    assert "drawn_birds/coral: 1 trials: 1 failed." in chosen(found).note


def test_no_trials(searched, sweep):
    found = searched(("average",))
    (found.out / "trials.csv").unlink()
    again = results(found.out, ignore=EXECUTION)
    assert again.trials == ()
    assert TITLE not in [table.title for table in tables(again)]
