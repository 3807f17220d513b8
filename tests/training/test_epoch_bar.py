"""A terminal has a bar over the batches of each epoch; a log has none."""

import io
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from debias.training.epoch_bar import EpochBar
from debias.training.fit import trainer


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_the_bar_counts_training_and_validation_batches(monkeypatch):
    monkeypatch.setattr(sys, "stderr", Terminal())
    bar = EpochBar()
    facts: Any = SimpleNamespace(num_training_batches=3, num_val_batches=[2], current_epoch=4)
    bar.on_train_epoch_start(facts, facts)
    for _ in range(3):
        bar.on_train_batch_end(facts, facts, None, None, 0)
    for _ in range(2):
        bar.on_validation_batch_end(facts, facts, None, None, 0)
    assert (bar.bar.n, bar.bar.total) == (5, 5)
    bar.on_train_epoch_end(facts, facts)
    shown = sys.stderr.getvalue()  # type: ignore[attr-defined]
    assert "epoch 4:" in shown
    assert shown.endswith("\r")  # the line of the epoch takes its place


@pytest.mark.parametrize(
    ("terminal", "progress", "bars"), [(True, True, 1), (True, False, 0), (False, True, 0)]
)
def test_only_a_terminal_has_a_bar(terminal, progress, bars, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "stderr", Terminal() if terminal else io.StringIO())
    made = trainer(tmp_path, epochs=1, seed=0, accelerator="cpu", progress=progress)
    callbacks: list[Any] = made.callbacks  # type: ignore[attr-defined]
    assert sum(isinstance(callback, EpochBar) for callback in callbacks) == bars
