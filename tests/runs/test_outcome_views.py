"""Which pictures the page of a run gets."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from debias.reports.galleries import Views
from debias.runs import outcome
from debias.types import Groups
from tests.reports.sample_runs import sample_predictions

BIRDS = Groups(("landbird", "waterbird"), ("land", "water"))


@pytest.mark.parametrize(
    ("measures", "left_out", "drawn"),
    [({}, {}, False), ({"attention": {}}, {}, True), ({}, {"attention": "needs masks"}, True)],
)
def test_maps_are_drawn_if_attention_was_wanted(
    measures: dict[str, object],
    left_out: dict[str, str],
    drawn: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Training does not measure attention; an evaluation does, and leaves it out without masks."""
    written: list[Views] = []
    monkeypatch.setattr(
        outcome, "write_report", lambda folder, record, views: written.append(views)
    )
    parts = SimpleNamespace(examples=SimpleNamespace(groups=BIRDS))
    record = {"measures": measures, "left_out": left_out}
    outcome.save_outcome(tmp_path, record, {"test": sample_predictions()}, parts)
    assert (written[0].overlays is not None) == drawn
