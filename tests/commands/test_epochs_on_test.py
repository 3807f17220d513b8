"""Test accuracies of every epoch: from the checkpoints, once."""

import json
import shutil
from pathlib import Path

import pytest

from debias.reports.record import read_report
from debias.sweeps.figures import FIGURES
from debias.sweeps.reproducing import epochs_on_test as module
from debias.sweeps.reproducing.epochs_on_test import FILE, epochs_on_test


def test_epochs_are_evaluated_once(
    tmp_path: Path, finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All three epochs get the weights of the selected one, whose test accuracy is in the record.

    Then the file is read, and nothing is built again.
    """
    run = tmp_path / "run"
    shutil.copytree(finished, run)
    (run / FILE).unlink(missing_ok=True)
    report = read_report(run)
    assert len(report.history) == 3
    weights = run / "checkpoints"
    chosen = (weights / f"epoch={report.selection.epoch:03d}.ckpt").read_bytes()
    for path in weights.glob("epoch=*.ckpt"):
        path.unlink()
    (weights / "epoch=000.ckpt").write_bytes(chosen)
    assert epochs_on_test(report) == []
    assert FIGURES["best_average"].read(report) is None
    for epoch in range(3):
        (weights / f"epoch={epoch:03d}.ckpt").write_bytes(chosen)
    assert FIGURES["best_average"].read(report) == report.test.scalars["average"]
    found = json.loads((run / FILE).read_text())
    assert [one["worst_group"] for one in found] == [report.test.scalars["worst_group"]] * 3
    monkeypatch.setattr(module, "finished", None)
    found[1]["average"] = 2.0
    (run / FILE).write_text(json.dumps(found))
    assert FIGURES["best_average"].read(report) == 2.0
