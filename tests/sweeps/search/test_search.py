"""Whole searches with stand-ins for training: what is tried, told, chosen, and gone on with."""

import csv
import itertools
from functools import partial
from pathlib import Path

import optuna
import pytest

from debias.commands.sweep_search import prepare_search, search
from debias.sweeps.search.outcome import most_tried
from debias.sweeps.search.planning import SearchPlan, plan_search
from debias.sweeps.search.study import Study, open_study, pruner
from debias.sweeps.search.trials import Trials
from debias.sweeps.sweep_file import Search
from tests.sweeps.search import trainings
from tests.sweeps.search.inline import inline

LR = "space: {optimizer.lr: {log_uniform: [0.001, 0.1]}}"
GRID = "sampler: grid, space: {optimizer.lr: {choice: [0.1, 0.02, 0.01, 0.001]}}"


def searched(
    path: Path, *overrides: str, launch=inline, train=trainings.learn
) -> tuple[list[tuple[float, int]], Path]:
    """Learning rate and seed of the final runs, and the folder."""
    planned = plan_search(path, overrides)
    found = search(planned, launch, train)
    return [(run.config.optimizer["lr"], run.config.seed) for run in found.runs], planned.out


def table(out: Path) -> list[dict[str, str]]:
    with (out / "trials.csv").open() as file:
        return list(csv.DictReader(file))


def test_winner_by_hand(search_file):
    """Worst: 0.75 at 0.1, 0.9247 at 0.02, 1 at 0.01, 0.75 at 0.001. The best, on both seeds."""
    found, out = searched(search_file(f"{{{GRID}}}"))
    assert found == [(0.01, 10), (0.01, 11)]
    rows = table(out)
    assert [(row["trial"], row["status"], row["optimizer.lr"]) for row in rows] == [
        ("0", "done", "0.1"),
        ("1", "done", "0.02"),
        ("2", "done", "0.01"),
        ("3", "done", "0.001"),
    ]
    assert [float(row["worst_group"]) for row in rows] == pytest.approx(
        [0.75, 0.924743, 1.0, 0.75], abs=1e-6
    )


def test_objective_is_the_mean_over_search_seeds(search_file):
    """Seed 1 reads 0.02 less, so the mean is 0.01 less than that of seed 0."""
    found, out = searched(search_file(f"{{{GRID}}}", seeds="[0, 1]"))
    assert found == [(0.01, 10), (0.01, 11)]
    assert [float(row["worst_group"]) for row in table(out)] == pytest.approx(
        [0.74, 0.914743, 0.99, 0.74], abs=1e-6
    )


def test_two_objectives_choose_the_front(search_file, capsys):
    """(worst group, average): (0.75, 0.8), (0.92, 0.88), (1, 0.89), (0.75, 0.899): the last two
    lead in one each.
    """
    found, out = searched(search_file(f"{{{GRID}, objectives: [worst_group, average]}}"))
    assert found == [(0.01, 10), (0.001, 10), (0.01, 11), (0.001, 11)]
    # columns of worst group 1 up to 0.89, and 0.75 from there to 0.899
    line = "  hypervolume 0.897 of 1 (from worst_group 0, average 0)"
    assert line in capsys.readouterr().out.splitlines()
    assert [float(row["average"]) for row in table(out)] == pytest.approx([0.8, 0.88, 0.89, 0.899])


def test_unknown_groups_choose_by_average(search_file):
    path = search_file(
        f"{{{GRID}, objectives: [average]}}",
        labels="validation_groups_unknown",
        set="{epochs: 2, select: average}",
    )
    assert searched(path)[0] == [(0.001, 10), (0.001, 11)]


def test_every_config_has_its_trials_and_its_winner(search_file, capsys):
    path = search_file(
        f"{{{LR}, sampler: random, trials: 3}}",
        configs=("[drawn_birds, drawn_birds/coral: {strategy.strength: {choice: [0.1, 0.2]}}]"),
        labels="training_groups_known",
    )
    planned = plan_search(path)
    found = search(planned, inline, trainings.learn)
    rows = table(planned.out)
    assert [(row["config"], row["trial"]) for row in rows] == [
        (config, str(number))
        for config in ("drawn_birds", "drawn_birds/coral")
        for number in range(3)
    ]
    assert [run.config.strategy["name"] for run in found.runs] == ["erm", "coral"] * 2
    assert capsys.readouterr().out.count("3 trials: 3 done\n  chosen: trial ") == 2


def test_a_failed_trial_keeps_its_reason(search_file, capsys):
    """The rate of 0.1 does not fit into memory; the others are searched."""
    path = search_file(f"{{{GRID}}}")
    found, out = searched(path, train=trainings.learn_but_not_fast)
    assert found == [(0.01, 10), (0.01, 11)]
    assert [(row["status"], row["reason"]) for row in table(out)] == [
        ("failed", "MemoryError: lr 0.1"),
        *[("done", "")] * 3,
    ]
    assert (
        "4 trials: 1 failed, 3 done\n  failed: trial 0: MemoryError: lr 0.1\n"
        in capsys.readouterr().out
    )


def test_a_combination_that_reads_more_than_the_protocol_allows_is_no_candidate(search_file):
    """Every end may be: ERM in one stage, Group DRO on inferred groups. Group DRO in one stage
    reads true labels.
    """
    space = "{strategy.name: {choice: [erm, group_dro]}, recipe.name: {choice: [single, eiil]}}"
    planned = plan_search(search_file(f"{{sampler: grid, space: {space}}}"))
    found = search(planned, inline, trainings.learn)
    rows = {(row["strategy.name"], row["recipe.name"]): row for row in table(planned.out)}
    assert rows["group_dro", "single"]["status"] == "failed"
    assert (
        "reads the group labels of train, which labels=validation_groups_known does not"
        in (rows["group_dro", "single"]["reason"])
    )
    assert {row["status"] for pair, row in rows.items() if pair != ("group_dro", "single")} == {
        "done"
    }
    assert all(
        run.config.recipe["name"] == "eiil" or run.config.strategy["name"] == "erm"
        for run in found.runs
    )


def test_settings_that_an_earlier_command_tried_are_counted(search_file):
    """Six trials, and then a command that asks for three: it chooses among six."""
    path = search_file(f"{{{LR}, sampler: random, trials: 6}}")
    _, out = searched(path)
    searched(path, "trials=3")
    assert most_tried(out / "trials.csv") == 6


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_the_next_command_trains_failed_trials_again(sampler, search_file, capsys):
    """Every training of two commands fails, and none of the third: the same settings are done."""
    tried = []

    def fail(config, *, resume=None, watch=None):
        tried.append(config.optimizer["lr"])
        raise MemoryError("no room")

    path = search_file(f"{{{LR}, sampler: {sampler}, trials: 3}}")
    for _ in range(2):
        message = (
            r"no trial is done\. See the reasons in .*trials\.csv: correct them and run the same"
        )
        with pytest.raises(ValueError, match=message):
            searched(path, train=fail)
    assert (
        "3 trials: 3 failed\n  failed: trial 0: MemoryError: no room\n" in capsys.readouterr().out
    )
    failed = table(path.parent / "runs")
    assert tried == [float(row["optimizer.lr"]) for row in failed] * 2
    assert {(row["status"], row["reason"]) for row in failed} == {
        ("failed", "MemoryError: no room")
    }
    _, out = searched(path)
    rows = table(out)
    assert [row["optimizer.lr"] for row in rows] == [row["optimizer.lr"] for row in failed]
    assert [(row["status"], row["reason"]) for row in rows] == [("done", "")] * 3


def test_an_invalid_combination_is_not_tried_again(search_file):
    """The next command has nothing to train."""
    space = "{strategy.name: {choice: [erm, group_dro]}}"
    path = search_file(f"{{sampler: grid, space: {space}}}")
    _, out = searched(path)
    before = table(out)
    assert [row["status"] for row in before] == ["done", "failed"]
    searched(path, train=lambda *_, **__: pytest.fail("trained again"))
    assert table(out) == before


def test_an_undefined_objective_fails_the_trial(search_file):
    """The stand-in's report lacks the worst class."""

    def without(config, *, resume=None, watch=None):
        folder = trainings.learn(config, resume=resume)
        report = (folder / "report.json").read_text()
        (folder / "report.json").write_text(report.replace('"worst_class"', '"other"'))
        return folder

    path = search_file(
        "{sampler: grid, objectives: [worst_class], space: {optimizer.lr: {choice: [0.1]}}}"
    )
    with pytest.raises(ValueError, match="no trial is done"):
        searched(path, train=without)
    assert table(path.parent / "runs")[0]["reason"] == "worst_class is undefined on validation"


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_a_stopped_search_goes_on_as_if_it_had_not_stopped(sampler, search_file, tmp_path, capsys):
    """Stopped in the 13th of 16 trials, started again: the settings of an undisturbed search;
    nothing trained twice.

    By then the estimator has left its 10 random trials behind.
    """
    path = search_file(f"{{{LR}, sampler: {sampler}, trials: 16}}")
    undisturbed, out = searched(path, f"out={tmp_path}/undisturbed")
    with pytest.raises(SystemExit):
        searched(path, launch=partial(inline, most=12))
    assert "run the same command again to continue" in capsys.readouterr().out
    stopped = table(path.parent / "runs")
    assert [row["status"] for row in stopped] == ["done"] * 12 + ["running"]
    found, again = searched(path)
    assert (found, table(again)) == (undisturbed, table(out))
    attempts = [file.read_text() for file in (again / "trials").glob("*/attempts.txt")]
    assert attempts == ["started\n"] * len({row["optimizer.lr"] for row in table(again)})


def test_more_trials_go_on(search_file):
    """Random settings are those of a longer search from the start; a done one has nothing to do."""
    path = search_file(f"{{{LR}, sampler: random, trials: 3}}")
    _, out = searched(path)
    before = table(out)
    searched(path, "trials=5")
    assert table(out)[:3] == before
    assert len(table(out)) == 5
    searched(
        path,
        "trials=5",
        launch=lambda runs, train, progress: pytest.fail("runs left") if list(runs) else None,
    )


def test_a_moved_search_goes_on(search_file, tmp_path):
    """Also if a command of several workers would try other settings the second time."""
    path = search_file(f"{{{LR}, trials: 2}}")
    _, out = searched(path)
    before = table(out)
    moved, started = out.rename(tmp_path / "moved"), []

    def launch(runs, train, progress):
        inline((started.append(run) or run for run in runs), train, progress)

    searched(path, f"out={moved}", "trials=3", launch=launch)
    assert table(moved)[:2] == before
    assert len(started) == 1


def test_another_search_in_the_same_folder(search_file):
    path = search_file(f"{{{LR}, trials: 2}}")
    searched(path)
    with pytest.raises(
        ValueError, match=r"drawn_birds was started with another search\. Use a new `out`"
    ):
        searched(path, "search.seed=1")


def test_a_repeated_setting_is_trained_once(search_file):
    """Six trials of a space of two settings."""
    path = search_file("{space: {optimizer.lr: {choice: [0.01, 0.02]}}, trials: 6}")
    _, out = searched(path)
    assert [row["status"] for row in table(out)] == ["done"] * 6
    assert (
        len(list((out / "trials").iterdir()))
        == len({row["optimizer.lr"] for row in table(out)})
        <= 2
    )


def studies(planned: SearchPlan, count: int) -> list[Study]:
    """The same study, as several commands open it."""
    url = f"sqlite:///{planned.out}/search.db"
    planned.out.mkdir(exist_ok=True)
    opened = (open_study(url, "study", planned.section, epochs=2) for _ in range(count))
    return [
        Study(study, planned.tuned[0], planned.section, planned.trials(planned.tuned[0]))
        for study in opened
    ]


@pytest.mark.parametrize("section", [GRID, f"{LR}, sampler: random, trials: 4"])
def test_two_commands_never_get_the_same_setting(section, search_file):
    """Four settings for two who ask in turn, and nothing for who asks after that."""
    one, two = studies(plan_search(search_file(f"{{{section}}}")), 2)
    asked = [study.ask() for _ in range(2) for study in (one, two)]
    assert [trial.number for trial in asked] == [0, 1, 2, 3]
    assert [trial.settings for trial in asked] == one.points
    assert (one.ask(), two.ask()) == (None, None)


def test_a_trial_that_two_commands_end_at_once_is_ended_by_the_first(search_file, monkeypatch):
    """The second one looks, the first one writes, and then the second one would write."""
    one, two = studies(plan_search(search_file(f"{{{GRID}}}")), 2)
    one.ask()
    storage = one.study._storage
    write = storage.set_trial_state_values

    def late(*arguments, **options):
        two.finish(0, [0.5])
        return write(*arguments, **options)

    monkeypatch.setattr(storage, "set_trial_state_values", late)
    one.finish(0, [0.7])
    assert two.trials()[0].values == (0.5,)


def test_a_command_that_was_killed_while_it_asked(search_file):
    """A trial without settings gets those of its number."""
    one, two = studies(plan_search(search_file(f"{{{GRID}}}")), 2)
    one.study.ask()
    (trial,) = two.unfinished(failed=True)
    assert (trial.number, trial.settings) == (0, {"optimizer.lr": 0.1})


def test_a_trial_that_another_command_ends_meanwhile_stays_as_it_is(search_file):
    """It was listed as running; then the other command finished it."""
    one, two = studies(plan_search(search_file(f"{{{GRID}}}")), 2)
    one.ask()
    (listed,) = two.unfinished(failed=True)
    one.finish(listed.number, [0.5])
    two.note_runs(listed.number, ["a", "b"])
    two.fail(listed.number, "too late")
    assert [(trial.state, trial.values, trial.reason) for trial in two.trials()] == [
        ("done", (0.5,), "")
    ]


def test_a_run_that_fails_late_is_not_tried_again(search_file):
    """Trials 0, 2 and 3 are of one command, 1 and 4 of another. 4 has failed there. 3 fails here
    while 1 is trained here too.
    """
    section = "{sampler: grid, space: {optimizer.lr: {choice: [0.1, 0.02, 0.01, 0.001, 0.002]}}}"
    one, two = studies(plan_search(search_file(section)), 2)
    trials = Trials([one])
    runs = iter(trials)
    started = [next(runs)]
    two.ask()
    started += [next(runs), next(runs)]
    two.ask()
    two.run_failed(4, "no room")
    started.append(next(runs))
    assert [run.config.optimizer["lr"] for run in started] == [0.1, 0.01, 0.001, 0.02]
    trials.ended(started[2], "no room either")
    assert list(runs) == []
    states = [(trial.state, trial.reason) for trial in two.trials()]
    assert states[2:] == [("running", ""), ("failed", "no room either"), ("failed", "no room")]


def test_a_trial_that_fails_in_one_command_and_is_done_in_another_is_done(search_file):
    one, two = studies(plan_search(search_file(f"{{{GRID}}}")), 2)
    one.ask()
    one.run_failed(0, "no room")
    two.finish(0, [0.5])
    one.run_failed(0, "too late")
    assert [(trial.state, trial.values, trial.reason) for trial in one.trials()] == [
        ("done", (0.5,), "")
    ]


def test_one_trial_too_many(search_file):
    """Another command asks between the look at the count and the asking; no table shows it."""
    one, two = studies(
        plan_search(search_file("{sampler: grid, space: {optimizer.lr: {choice: [0.1]}}}")), 2
    )
    real = one.study.get_trials
    calls = itertools.count()
    one.study.get_trials = lambda deepcopy=True, states=None: (
        (two.ask(), [])[1] if next(calls) == 0 else real(deepcopy=deepcopy, states=states)
    )
    assert one.ask() is None
    assert [(trial.number, trial.state) for trial in two.trials()] == [(0, "running")]


def test_pruned_runs(search_file):
    """Nine epochs, judged after 1 and 3; the stand-in's order of runs never changes.

    The first three rates (worst groups 1, 0.92, 0.75 less 8 %) arrive in this order: the second and
    third are not among the best third after epoch 1, for of up to three one is kept.
    """
    path = search_file(
        "{sampler: grid, prune: asha, space: {optimizer.lr: {choice: [0.01, 0.02, 0.1]}}}",
        set="{epochs: 9}",
    )
    found, out = searched(path)
    assert found == [(0.01, 10), (0.01, 11)]
    assert [row["status"] for row in table(out)] == ["done", "pruned", "pruned"]
    notes = sorted(file.read_text() for file in (out / "trials" / "pruned").iterdir())
    assert notes == [
        "pruned after epoch 1 of 9, at validation worst_group 67.0\n",
        "pruned after epoch 1 of 9, at validation worst_group 84.5\n",
    ]
    assert len(list((out / "trials").glob("*/report.json"))) == 1
    searched(
        path, launch=lambda runs, train, progress: pytest.fail("runs left") if list(runs) else None
    )


def test_a_config_with_a_name_of_its_own_is_pruned(search_file, tmp_path):
    """A study has the name of the file, not that in the file."""
    (tmp_path / "named.yaml").write_text("extends: drawn_birds\nname: my birds\n")
    path = search_file(
        "{sampler: grid, prune: asha, space: {optimizer.lr: {choice: [0.01, 0.02]}}}",
        configs="[named.yaml]",
        set="{epochs: 9}",
    )
    _, out = searched(path)
    assert [row["status"] for row in table(out)] == ["done", "pruned"]


def test_pruners():
    """A ninth of the epochs, thrice as many per rung; hyperband spares a third of its brackets."""
    assert isinstance(pruner(Search(), 9), optuna.pruners.NopPruner)
    for epochs, first in ((27, 3), (100, 11), (5, 1)):
        assert pruner(Search(prune="asha"), epochs)._min_resource == first
        hyperband = pruner(Search(prune="hyperband"), epochs)
        assert (hyperband._min_resource, hyperband._max_resource) == (first, epochs)
    own = pruner(Search(prune="asha", factor=2, min_epochs=3), 16)
    assert (own._min_resource, own._reduction_factor) == (3, 2)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            ["launcher=slurm"],
            "a search needs launcher=local: on a cluster, submit this command",
        ),
        (["search.space={optimizer.rate: {choice: [1]}}"], "unknown option optimizer.rate"),
        (["search.space={batch_size: {choice: [1, 0]}}"], "batch_size must be at least 1; got 0"),
        (
            ["search.space={strategy.name: {choice: [erm, group_dro]}}"],
            "reads the group labels of train, which",
        ),
        (["search.space={select: {choice: [test]}}"], "unknown selection rule select='test'"),
    ],
)
def test_every_end_of_the_space_is_checked_first(overrides, message, search_file):
    path = search_file(f"{{{LR}, trials: 3}}")
    with pytest.raises(ValueError, match=message):
        prepare_search(str(path), overrides)
    assert not (path.parent / "runs").exists()


def test_no_such_database(search_file, tmp_path):
    path = search_file(f"{{{LR}, trials: 3}}")
    with pytest.raises(
        ValueError,
        match=r"search.storage sqlite:////no/such/a.db cannot be opened: .*unable to open",
    ):
        searched(path, "storage=sqlite:////no/such/a.db")
    with pytest.raises(
        ValueError, match=r"search.storage oracle://me:\*\*\*@host/a cannot be opened"
    ):
        searched(path, "storage=oracle://me:secret@host/a")
