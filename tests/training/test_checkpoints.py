"""Checkpoints: written beside their place, the one before kept, taken if the last is damaged."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from debias.errors import InputError
from debias.strategies.erm import ERM
from debias.training.checkpoints import newest_checkpoint
from debias.training.fit import fit
from debias.training.recorder import Recorder
from tests.fakes import TinyData
from tests.training.test_module import module_of, trainer_of


def ended_after_three(history: list[dict[str, Any]]) -> None:
    """A watch that ends training after the third epoch."""
    if len(history) == 3:
        raise RuntimeError("stopped")


def train(
    folder: Path, *, stopped: bool = False
) -> tuple[dict[str, torch.Tensor], list[dict[str, Any]], list[int]]:
    """Weights, history and the epochs whose predictions were written, of four epochs."""
    written: list[int] = []
    recorder = Recorder(
        folder / "checkpoints",
        write=lambda epoch, predicted: written.append(epoch),
        watch=ended_after_three if stopped else None,
    )
    module = module_of(ERM, epochs=4)
    lightning = trainer_of(module, folder, epochs=4, callbacks=[recorder])
    fit(module, TinyData(), lightning, resume=newest_checkpoint(recorder.folder))
    history = [
        {key: value for key, value in entry.items() if key != "seconds"}
        for entry in recorder.history
    ]
    return module.state_dict(), history, written


def epoch_of(path: Path) -> int:
    return int(torch.load(path, weights_only=True)["epoch"])


@pytest.fixture
def stopped(tmp_path: Path) -> Path:
    """A run of four epochs that was stopped after three."""
    with pytest.raises(RuntimeError, match="stopped"):
        train(tmp_path / "run", stopped=True)
    return tmp_path / "run"


def test_the_checkpoint_before_is_kept(stopped: Path) -> None:
    assert epoch_of(stopped / "checkpoints" / "last.ckpt") == 2
    assert epoch_of(stopped / "checkpoints" / "previous.ckpt") == 1
    assert not list(stopped.rglob("*.tmp"))


def test_no_checkpoint_passes_through_the_temporary_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is on a disk of its own, and may be full."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "absent"))
    train(tmp_path / "run")
    assert epoch_of(tmp_path / "run" / "checkpoints" / "last.ckpt") == 3


def empty(path: Path) -> None:
    path.write_bytes(b"")


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def changed(path: Path) -> None:
    """One bit in the middle."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("damage", [empty, truncated, changed, Path.unlink])
def test_training_resumes_from_the_one_before_and_ends_the_same(
    damage: Callable[[Path], None], stopped: Path, tmp_path: Path
) -> None:
    """Epoch 2 is trained and its predictions are written once more, then epoch 3."""
    last = stopped / "checkpoints" / "last.ckpt"
    damage(last)
    fault = "damaged" if last.exists() else "absent"
    with pytest.warns(
        UserWarning, match=f"last.ckpt is {fault}: training resumes from previous.ckpt, one epoch"
    ):
        weights, history, written = train(stopped)
    assert written == [2, 3]
    whole, undisturbed, _ = train(tmp_path / "whole")
    assert history == undisturbed
    assert [key for key in whole if not torch.equal(whole[key], weights[key])] == []


def test_a_kill_while_it_resumes_loses_neither(stopped: Path) -> None:
    """The damaged file is gone before training starts: it cannot replace the whole one later."""
    last = stopped / "checkpoints" / "last.ckpt"
    empty(last)
    with pytest.warns(UserWarning, match="damaged"):
        assert newest_checkpoint(last.parent) == last
    assert epoch_of(last) == 1
    assert newest_checkpoint(last.parent) == last


@pytest.mark.parametrize("damage", [empty, truncated, changed])
def test_without_a_whole_one_before_it_is_one_line(
    damage: Callable[[Path], None], stopped: Path
) -> None:
    damage(stopped / "checkpoints" / "last.ckpt")
    damage(stopped / "checkpoints" / "previous.ckpt")
    with pytest.raises(
        InputError,
        match=r"last.ckpt is damaged, and there is no intact previous.ckpt beside it: restore it",
    ):
        newest_checkpoint(stopped / "checkpoints")
    (stopped / "checkpoints" / "previous.ckpt").unlink()
    with pytest.raises(InputError, match=r"delete both to train again from the first epoch$"):
        newest_checkpoint(stopped / "checkpoints")


def test_a_run_that_has_none_starts(tmp_path: Path) -> None:
    assert newest_checkpoint(tmp_path) is None
