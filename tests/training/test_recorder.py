"""What an epoch leaves: weights of preferred epochs only, one history, checkpoints that load."""

from types import SimpleNamespace

import torch

from debias.training.prediction import Predicted, joined
from debias.training.recorder import Recorder


def entry(worst: float, average: float) -> dict[str, object]:
    scalars = {
        "worst_group": worst,
        "worst_class": average,
        "average": average,
        "group_balanced": average,
    }
    return {"epoch": 0, "train": {}, "val": scalars, "seconds": 1.0}


def test_prefers_by_each_rule(tmp_path):
    recorder = Recorder(tmp_path, write=lambda epoch, predicted: None)
    recorder.history = [entry(0.2, 0.9), entry(0.5, 0.7), entry(0.5, 0.8)]
    assert recorder.preferred() == {
        "worst_group": 1,
        "worst_class": 0,
        "average": 0,
        "balanced": 0,
        "last": 2,
    }


def test_keeps_the_weights_of_the_least_class_difference(tmp_path):
    """One epoch for the accuracies, another for the difference: two files, not the one between."""
    recorder = Recorder(tmp_path, write=lambda epoch, predicted: None)
    recorder.history = [entry(0.2, 0.9), entry(0.1, 0.8), entry(0.1, 0.7)]
    for epoch, difference in enumerate((0.3, 0.4, 0.1)):
        recorder.weights(epoch).touch()
        recorder.history[epoch]["val"]["class_difference"] = difference
    assert recorder.preferred()["class_difference"] == 2
    recorder.on_train_epoch_start(SimpleNamespace(is_global_zero=True), None)  # type: ignore[arg-type]
    assert {path.name for path in tmp_path.iterdir()} == {"epoch=000.ckpt", "epoch=002.ckpt"}


def test_removes_weights_no_rule_prefers_only_when_the_next_epoch_starts(tmp_path):
    recorder = Recorder(tmp_path, write=lambda epoch, predicted: None)
    for epoch in range(3):
        recorder.weights(epoch).touch()
    recorder.last.touch()
    recorder.history = [entry(0.2, 0.9), entry(0.4, 0.7), entry(0.5, 0.8)]
    recorder.on_train_epoch_start(SimpleNamespace(is_global_zero=True), None)  # type: ignore[arg-type]
    # epoch 1 is the best of the two that previous.ckpt speaks of
    whole = {"epoch=000.ckpt", "epoch=001.ckpt", "epoch=002.ckpt", "last.ckpt"}
    assert {path.name for path in tmp_path.iterdir()} == whole
    recorder.history.append(entry(0.1, 0.1))
    recorder.on_train_epoch_start(SimpleNamespace(is_global_zero=True), None)  # type: ignore[arg-type]
    assert {path.name for path in tmp_path.iterdir()} == whole - {"epoch=001.ckpt"}


def test_keeps_every_epoch_where_asked_to(tmp_path):
    recorder = Recorder(tmp_path, write=lambda epoch, predicted: None, keep_all=True)
    for epoch in range(2):
        recorder.weights(epoch).touch()
    recorder.history = [entry(0.2, 0.9), entry(0.4, 0.95)]
    recorder.on_train_epoch_start(SimpleNamespace(is_global_zero=True), None)  # type: ignore[arg-type]
    assert {path.name for path in tmp_path.iterdir()} == {"epoch=000.ckpt", "epoch=001.ckpt"}


def test_history_survives_a_checkpoint(tmp_path):
    recorder, resumed = (Recorder(tmp_path, write=lambda epoch, predicted: None) for _ in range(2))
    recorder.history = [entry(0.2, 0.9)]
    torch.save(recorder.state_dict(), tmp_path / "state.pt")
    resumed.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    assert resumed.history == recorder.history


def test_joined_sorts_and_keeps_a_repeated_row_once():
    parts = [
        Predicted(torch.tensor([4, 0]), torch.tensor([[4.0], [0.0]])),
        Predicted(torch.tensor([2, 0]), torch.tensor([[2.0], [0.0]])),
    ]
    found = joined(parts)
    assert found.index.tolist() == [0, 2, 4]
    assert found.logits.flatten().tolist() == [0.0, 2.0, 4.0]
