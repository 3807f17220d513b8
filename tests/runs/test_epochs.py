"""The state of a training after an epoch: its numbers, its line, and its file."""

import pytest

from debias.config import Config
from debias.runs.epochs import forget_state, read_state, state_of, write_state
from debias.runs.single import recorder_of


def entry(epoch: int, seconds: float = 60.0, loss: float = 0.5, **val: float) -> dict[str, object]:
    return {"epoch": epoch, "train": {"loss": loss}, "val": val, "seconds": seconds}


HISTORY = [
    entry(0, 600.0, worst_group=0.25, worst_class=0.5, average=0.75, class_difference=0.5),
    entry(1, worst_group=0.625, worst_class=0.5, average=0.8125, class_difference=0.25),
    entry(2, 90.0, 0.375, worst_group=0.5, worst_class=0.75, average=0.875, class_difference=0.125),
]


def test_line():
    """27 of 30 epochs are left, and (600 + 60 + 90) / 3 = 250 s each is 1.9 h."""
    state = state_of(HISTORY, epochs=30, select="auto")
    assert state.line() == (
        "epoch  2 (3/30)  loss 0.3750  val worst group 50.0  average 87.5  best 62.5 (epoch 1)  "
        "2 min  1.9 h left"
    )
    assert state.left == 27 * 250


@pytest.mark.parametrize(
    ("select", "best"),
    [
        ("worst_group", "best 62.5 (epoch 1)"),
        ("last", "best 62.5 (epoch 1)"),
        ("average", "best average 87.5 (epoch 2)"),
        ("worst_class", "best worst_class 75.0 (epoch 2)"),
        ("class_difference", "best class_difference 12.5 (epoch 2)"),
    ],
)
def test_the_best_epoch_is_that_of_the_selection_rule(select, best):
    assert state_of(HISTORY, epochs=30, select=select).best_so_far() == best


def test_without_bias_labels_classes_take_the_place_of_groups():
    nan = float("nan")
    history = [entry(0, worst_group=nan, worst_class=0.5, average=0.75)]
    line = state_of(history, epochs=1, select="auto").line()
    expected = "val worst class 50.0  average 75.0  best 50.0 (epoch 0)  1 min"
    assert line == f"epoch 0 (1/1)  loss 0.5000  {expected}"


def test_an_epoch_that_only_updates_other_networks_has_no_accuracy():
    line = state_of([entry(0)], epochs=2, select="auto").line()
    assert "val worst class -  average -  best -  1 min  1 min left" in line


def test_the_time_left_is_that_of_the_latest_ten_epochs():
    """The first epoch, which also compiled kernels, plays no part any more."""
    history = [entry(0, 5000.0), *(entry(epoch, 7.0) for epoch in range(1, 11))]
    assert state_of(history, epochs=20, select="last").left == 9 * 7.0


def test_a_log_of_300_epochs_has_one_short_line_per_epoch(tmp_path, capsys):
    config = Config(epochs=300)
    recorder = recorder_of(None, config, tmp_path)  # type: ignore[arg-type]
    assert recorder.watch is not None
    history = []
    for epoch in range(300):
        values = {"worst_group": epoch / 300, "worst_class": 0.5, "average": 0.75}
        history.append(entry(epoch, **values))
        recorder.watch(history)
    printed = capsys.readouterr()
    assert printed.out == ""
    assert len(printed.err.splitlines()) == 300
    assert len(printed.err.encode()) <= 40_000
    assert "\r" not in printed.err


def test_the_file_has_the_state_until_the_stage_ends(tmp_path):
    stage, state = tmp_path / "stages" / "first", state_of(HISTORY, epochs=30, select="auto")
    stage.mkdir(parents=True)
    assert read_state(tmp_path) is None
    write_state(stage, state)
    assert read_state(tmp_path) == ("first", state)
    forget_state(stage)
    write_state(tmp_path, state)
    assert read_state(tmp_path) == ("", state)
    (tmp_path / "progress.json").write_text("{}")  # of another version
    assert read_state(tmp_path) is None
