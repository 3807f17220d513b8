"""Successive halving by fronts: when a run is judged, against whom, and what a kill leaves."""

from types import SimpleNamespace

import optuna
import pytest
from optuna.trial import TrialState

from debias.config import Config
from debias.sweeps.launchers.worker import Pruned
from debias.sweeps.search.halving import FrontJudge, checks, first_check
from debias.sweeps.sweep_file import Search
from tests.sweeps.search import trainings
from tests.sweeps.search.test_search import searched, table

NAMES = ["average", "worst_group_gap"]
SECTION = Search(objectives=NAMES, prune="asha", factor=2)
CONFIG = Config(epochs=8, select="average")


def test_checks():
    """A ninth and a third by default; the last epoch is no check."""
    assert [checks(Search(), epochs) for epochs in (9, 100, 5, 1)] == [
        [1, 3],
        [11, 33, 99],
        [1, 3],
        [],
    ]
    assert checks(SECTION, 8) == [2, 4]
    assert checks(Search(factor=2, min_epochs=3), 24) == [3, 6, 12]
    assert first_check(Search(min_epochs=30), 8) == 30
    assert checks(Search(min_epochs=30), 8) == []


@pytest.fixture
def study():
    return optuna.create_study(directions=["maximize", "minimize"])


def epochs(average: float, gap: float, count: int) -> list[dict]:
    """A history whose selected epoch has these values."""
    return [{"val": {"average": average, "robustness_gap": gap}}] * count


def judged(study, average: float, gap: float, count: int = 2) -> str:
    """Why a new run ends after so many epochs; empty if it continues."""
    judge = FrontJudge(SECTION, study.ask(), CONFIG)
    try:
        judge(epochs(average, gap, count))
    except Pruned as end:
        return str(end)
    return ""


def test_a_run_continues_if_it_is_in_the_best_half_of_those_before_it(study):
    """One of up to three continues, two of four or five."""
    assert judged(study, 0.8, 0.2) == ""  # alone
    assert judged(study, 0.7, 0.3) == (
        "pruned after epoch 2 of 8, at validation average 70.0, worst_group_gap 30.0"
    )
    assert judged(study, 0.9, 0.4) == ""  # the other end of the front
    assert judged(study, 0.8, 0.4) != ""  # second front, and two better ones are kept
    assert judged(study, 0.8, 0.2) == ""  # equal to one of the best
    assert judged(study, 0.6, 0.3) != ""


def test_nothing_is_judged_between_the_checks(study):
    assert judged(study, 0.8, 0.2, count=4) == ""
    assert judged(study, 0.1, 0.9, count=1) == ""
    assert judged(study, 0.1, 0.9, count=3).startswith("pruned after epoch 2")
    assert len(study.get_trials()[1].user_attrs) == 0
    assert list(study.get_trials()[0].user_attrs) == ["check 2", "check 4"]


def test_a_late_judgement_reads_the_epochs_before_the_check(study):
    """Killed before the decision was written, and resumed: the better third epoch does not help."""
    judged(study, 0.8, 0.2)
    judge = FrontJudge(SECTION, study.ask(), CONFIG)
    with pytest.raises(Pruned, match=r"after epoch 2 of 8, at validation average 70\.0"):
        judge([*epochs(0.7, 0.3, 2), *epochs(0.95, 0.05, 1)])


def test_runs_of_another_check_do_not_count(study):
    """Two good runs reached epoch 2 only; the third is alone after epoch 4."""
    judged(study, 0.8, 0.2), judged(study, 0.9, 0.1)
    judge = FrontJudge(SECTION, study.ask(), CONFIG)
    judge(epochs(0.95, 0.05, 2))
    judge([*epochs(0.95, 0.05, 2), *epochs(0.1, 0.9, 2)])


def test_an_undefined_objective_is_not_judged(study):
    judged(study, 0.8, 0.2)
    judge = FrontJudge(SECTION, study.ask(), CONFIG)
    judge([{"val": {"average": 0.1, "robustness_gap": None}}] * 2)
    assert study.get_trials()[1].user_attrs == {}


@pytest.mark.parametrize("values", [(0.9, 0.1), (0.1, 0.9)])
def test_a_run_is_judged_once(study, values):
    """After a kill it is judged as before, though better or worse runs have come since."""
    judged(study, 0.8, 0.2)
    trial = study.ask()

    def again() -> str:
        reopened = optuna.Trial(study, trial._trial_id)
        try:
            FrontJudge(SECTION, reopened, CONFIG)(epochs(*values, 3))
        except Pruned as end:
            return str(end)
        return ""

    first = again()
    judged(study, 0.99, 0.01)
    judged(study, 0.98, 0.02)
    assert again() == first
    assert bool(first) == (values == (0.1, 0.9))


def test_a_trial_that_another_command_has_ended_is_not_stopped(study):
    judged(study, 0.8, 0.2)
    trial = study.ask()
    study.tell(trial.number, state=TrialState.FAIL)
    FrontJudge(SECTION, trial, CONFIG)(epochs(0.1, 0.9, 2))


GRID = (
    "{sampler: grid, prune: asha, objectives: [worst_group, average], "
    "space: {optimizer.lr: {choice: [0.01, 0.02, 0.1, 0.001]}}}"
)


def test_a_whole_search(search_file):
    """Worst group and average are 1, 0.92, 0.75, 0.75 (less 8 %) and 0.89, 0.88, 0.8, 0.899. The
    second and third are behind the first; the fourth leads in the average.
    """
    found, out = searched(search_file(GRID, set="{epochs: 9}", final_seeds="[10]"))
    assert found == [(0.01, 10), (0.001, 10)]
    rows = table(out)
    assert [row["status"] for row in rows] == ["done", "pruned", "pruned", "done"]
    assert [row["reason"] for row in rows] == [
        "",
        "pruned after epoch 1 of 9, at validation worst_group 84.5, average 88.0",
        "pruned after epoch 1 of 9, at validation worst_group 67.0, average 80.0",
        "",
    ]


LR = "objectives: [worst_group, average], space: {optimizer.lr: {log_uniform: [0.001, 0.1]}}"


@pytest.mark.parametrize(
    ("kill", "sampler", "trials"),
    [
        ("before", "random", 4),
        ("after", "random", 4),
        pytest.param("after", "tpe", 12, marks=pytest.mark.slow),
    ],
)
def test_a_killed_search_goes_on_as_if_it_had_not_been_killed(
    kill, sampler, trials, search_file, tmp_path
):
    """Killed in the last trial but one, at its first check: before or after the decision is
    written. The last trial of ``tpe`` is beyond the estimator's 10 random ones.
    """
    section = f"{{prune: asha, factor: 2, sampler: {sampler}, trials: {trials}, {LR}}}"
    path = search_file(section, set="{epochs: 4}", final_seeds="[10]")
    undisturbed, out = searched(path, f"out={tmp_path}/undisturbed")
    killed = SimpleNamespace(runs=0)

    def train(config, *, resume=None, watch=None):
        """The last run but one is killed in its first epoch."""
        killed.runs += 1

        def until(history):
            last = killed.runs == trials - 1 and len(history) == 1
            if last and kill == "before":
                raise KeyboardInterrupt
            try:
                watch(history)
            finally:
                if last:
                    raise KeyboardInterrupt

        return trainings.learn(config, resume=resume, watch=until)

    with pytest.raises(SystemExit):
        searched(path, train=train)
    found, again = searched(path)
    assert (found, table(again)) == (undisturbed, table(out))
    assert {row["status"] for row in table(out)} == {"done", "pruned"}
