"""A run of one objective that is killed and resumed: it is judged as if it had not been killed."""

import optuna
import pytest

from debias.config import Config
from debias.sweeps.launchers.worker import Pruned
from debias.sweeps.search.pruning import Judge
from debias.sweeps.search.study import pruner
from debias.sweeps.sweep_file import Search

SECTION = Search(prune="asha", min_epochs=3)
CONFIG = Config(epochs=9, select="average")
END = "pruned after epoch 3 of 9, at validation average 10.0"


@pytest.fixture
def study():
    """Checks are after 3 epochs alone, and a first run has reached it with 90 %."""
    study = optuna.create_study(direction="maximize", pruner=pruner(SECTION, CONFIG.epochs))
    assert trained(study, study.ask(), 0.9, 1, 9) == ""
    return study


def trained(study, trial, average: float, first: int, last: int, *, epochs=None) -> str:
    """Why a run ends between two epochs, which a process trains; empty if it does not.

    Args:
        epochs: the average after each epoch, in place of one for all.
    """
    again = optuna.Trial(study, trial._trial_id)
    reported = max(study.get_trials()[trial.number].intermediate_values, default=0)
    judge = Judge("average", again, CONFIG, reported)
    averages = epochs or [average] * last
    try:
        for epoch in range(first, last + 1):
            judge([{"val": {"average": value}} for value in averages[:epoch]])
    except Pruned as end:
        return str(end)
    return ""


def test_a_run_that_is_behind_ends_at_the_check(study):
    assert trained(study, study.ask(), 0.1, 1, 9) == END


def test_a_decision_to_end_a_run_stays(study):
    """Killed after the decision; later runs are worse, and do not change it."""
    trial = study.ask()
    assert trained(study, trial, 0.1, 1, 3) == END
    for _ in range(4):
        trained(study, study.ask(), 0.01, 1, 3)
    assert trained(study, trial, 0.1, 4, 9) == END


def test_an_epoch_whose_report_a_kill_prevented_is_judged_at_resumption(study):
    """Killed after the checkpoint of epoch 3. The better fourth epoch comes too late."""
    trial = study.ask()
    assert trained(study, trial, 0.1, 1, 2) == ""
    assert trained(study, trial, 0, 4, 9, epochs=[0.1] * 3 + [0.95] * 6) == END
    assert list(study.get_trials()[trial.number].intermediate_values) == [1, 2, 3]


def test_an_epoch_that_was_reported_and_not_judged_is_judged_at_resumption(study):
    trial = study.ask()
    assert trained(study, trial, 0.1, 1, 2) == ""
    optuna.Trial(study, trial._trial_id).report(0.1, 3)
    assert trained(study, trial, 0.1, 4, 9) == END


def test_a_run_that_continued_is_not_judged_again(study):
    """It was among the best at its check; better runs have come since."""
    trial = study.ask()
    assert trained(study, trial, 0.95, 1, 3) == ""
    for _ in range(4):
        trained(study, study.ask(), 0.99, 1, 3)
    assert trained(study, trial, 0.95, 4, 8) == ""
    assert list(study.get_trials()[trial.number].intermediate_values) == [1, 2, 3, 4, 5, 6, 7, 8]
