"""Heads on backbones of the same sweep: which run is meant, that it is trained first, and one
method over seeds.
"""

import io
import json
import math

import pytest
from rich.console import Console

from debias import config as configs
from debias.__main__ import main
from debias.config import EXECUTION
from debias.runs.description import backbone_of
from debias.sweeps.backbones import backbones_of, train_in_waves
from debias.sweeps.files import left, write_plan
from debias.sweeps.launchers import slurm as slurm_launcher
from debias.sweeps.launchers.local import Local
from debias.sweeps.launchers.pieces import OutOfTime
from debias.sweeps.launchers.pool import End, Pool
from debias.sweeps.plan import PlannedRun, plan
from debias.sweeps.progress import Progress
from debias.sweeps.report import results
from tests.sweeps import trainings
from tests.sweeps.finished_runs import finish
from tests.sweeps.launchers.fake_slurm import submitted
from tests.sweeps.test_sweep import overrides

HEADS = """
    configs:
      - drawn_birds/dfr: {recipe.backbone: ["{drawn_birds}"]}
      - drawn_birds
    seeds: [0, 1]
    """


def test_a_head_takes_the_backbone_of_its_own_seed(sweep):
    """In whichever order they are written: the config holds the folder, what is read the name."""
    path = sweep(HEADS)
    heads, trained = plan(path).runs[::2], plan(path).runs[1::2]
    assert [run.config.seed for run in trained] == [0, 1]
    assert [run.config.recipe["backbone"] for run in heads] == [str(run.folder) for run in trained]
    assert [run.settings for run in heads] == [
        f"drawn_birds/dfr recipe.backbone={{drawn_birds}} seed={seed}" for seed in (0, 1)
    ]
    options = [f"recipe.backbone={trained[1].folder}", "seed=1", f"out={path.parent / 'runs'}"]
    assert heads[1].name == configs.run_name(configs.load("drawn_birds/dfr", options))
    assert backbones_of(plan(path).runs) == {
        head.name: run for head, run in zip(heads, trained, strict=True)
    }


def test_a_head_takes_the_backbone_of_its_own_settings(sweep):
    """What both vary is the same; what the head varies alone is all on one backbone."""
    planned = plan(
        sweep("""
        configs:
          - drawn_birds
          - drawn_birds/dfr: {recipe.backbone: ["{drawn_birds}"], recipe.subsamples: [1, 2]}
        grid: {optimizer.lr: [0.1, 0.2]}
        """)
    )
    trained, heads = planned.runs[:2], planned.runs[2:]
    assert [run.config.recipe["subsamples"] for run in heads] == [1, 2, 1, 2]
    rates = {str(run.folder): run.config.optimizer["lr"] for run in trained}
    assert all(
        rates[head.config.recipe["backbone"]] == head.config.optimizer["lr"] for head in heads
    )


def test_a_path_beside_the_sweep_file_is_a_name_as_well(sweep, tmp_path):
    (tmp_path / "base.yaml").write_text("extends: drawn_birds\nepochs: 2\n")
    head, trained = plan(
        sweep('configs: [{drawn_birds/dfr: {recipe.backbone: ["{base.yaml}"]}}, base.yaml]')
    ).runs
    assert head.config.recipe["backbone"] == str(trained.folder)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            '[{drawn_birds/dfr: {recipe.backbone: ["{drawn_birds/irm}"]}}]',
            "must name one run .* with seed=0; got 0 runs. Name a config",
        ),
        (
            (
                "[drawn_birds: {clip: [1, 2]}, drawn_birds/dfr: {recipe.backbone: "
                '["{drawn_birds}"]}]'
            ),
            "must name one run .* with seed=0; got 2 runs. Name a config",
        ),
        (
            '[drawn_birds/dfr: {recipe.backbone: ["{drawn_birds/dfr}"]}]',
            "names a config that uses another run's backbone",
        ),
    ],
)
def test_what_is_not_one_run_is_refused(sweep, text, message):
    with pytest.raises(ValueError, match=message):
        plan(sweep(f"configs: {text}"))


class InTurn:
    """An engine of one attempt at a time, which ends at once."""

    def __init__(self) -> None:
        self.runs: list[PlannedRun] = []

    @property
    def active(self) -> int:
        return len(self.runs)

    def room(self) -> bool:
        return not self.runs

    def start(self, run) -> None:
        self.runs.append(run)

    def ended(self, seconds) -> list[End]:
        run = self.runs.pop()
        finish(run, worst=0.5)
        return [End(run, 0)]

    def stop(self, signals) -> None:
        pass


def test_trained_backbones_are_progress_when_the_time_is_over(sweep):
    """The heads have no time left, and none of them has started."""
    runs = plan(sweep(HEADS)).runs
    progress = Progress(runs, console=Console(file=io.StringIO()))
    progress.begun -= 1  # times of files are less exact
    deadlines = iter([math.inf, 0.0])

    def launch(chosen) -> None:
        Pool(InTurn(), chosen, progress, retries=0, deadline=next(deadlines)).work()

    with pytest.raises(OutOfTime, match=r"^the time is over$"):
        train_in_waves(runs, launch, lambda run, reason: None)
    assert [run.settings for run in left(runs)] == [run.settings for run in runs[::2]]


def test_nothing_is_launched_if_no_run_is_left(sweep):
    """A cluster that has been shut down since then is not needed for the table."""
    runs = plan(sweep(HEADS)).runs
    for run in runs[1:]:
        run.folder.mkdir(parents=True)
        (run.folder / "report.json").touch()
    chosen: list[list[str]] = []
    train_in_waves(runs, lambda some: chosen.append([run.name for run in some]), pytest.fail)
    assert chosen == [[runs[0].name]]


def launched(runs, launch) -> list[str]:
    """The lines that were printed, without the counts."""
    file = io.StringIO()
    with Progress(runs, console=Console(file=file, soft_wrap=True)) as progress:
        train_in_waves(
            runs,
            lambda chosen: launch(chosen, progress),
            lambda *told: progress.failed(*told, again=False),
        )
    return [line.partition(" [")[0] for line in file.getvalue().splitlines()]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_heads_start_when_their_backbones_are_done_also_at_a_second_attempt(sweep):
    runs = plan(sweep(HEADS)).runs
    lines = launched(
        runs, lambda some, progress: Local(threads=1)(some, trainings.on_its_backbone, progress)
    )
    assert sum(line.startswith("failed  drawn_birds seed=1, tried again") for line in lines) == 1
    assert left(runs) == []


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_head_without_its_backbone_is_not_started(sweep):
    runs = plan(sweep(HEADS)).runs
    lines = launched(
        runs,
        lambda some, progress: Local(threads=1, retries=0)(
            some, trainings.on_its_backbone, progress
        ),
    )
    assert (
        lines[-1] == "failed  drawn_birds/dfr recipe.backbone={drawn_birds} seed=1: "
        "not started, because its backbone is not done: drawn_birds seed=1"
    )
    assert [run.settings for run in left(runs)] == [runs[2].settings, runs[3].settings]
    assert not runs[2].folder.exists()


@pytest.mark.slow
def test_on_slurm_the_heads_are_a_second_array(sweep, slurm):
    runs = plan(sweep(HEADS)).runs
    launched(
        runs, lambda some, progress: slurm_launcher.Slurm(poll=0.1)(some, trainings.quick, progress)
    )
    dfr = "recipe.backbone={drawn_birds}"
    assert submitted(slurm) == [["seed=0", "seed=1"], [f"{dfr} seed=0", f"{dfr} seed=1"]]
    assert left(runs) == []


def test_seeds_on_backbones_of_their_own_are_one_method(sweep):
    """A head of seed 0 on the backbone of seed 1 is another method: it would repeat the seed."""
    path = sweep(HEADS)
    planned = plan(path)
    write_plan(planned)
    strategy = {"name": "erm", "method": "dfr", "requires": [], "group_labels": "val"}
    for run in planned.runs[1::2]:
        finish(run, worst=0.4)
    for run in planned.runs[::2]:
        finish(run, worst=0.7, strategy=strategy, **backbone_of(run.config))
    found = results(planned.out, ignore=EXECUTION)
    (comparison,) = found.comparisons.values()
    assert [(method.label, method.seeds) for method in comparison.methods] == [
        ("dfr", (0, 1)),
        ("erm", (0, 1)),
    ]
    config = configs.changed(
        planned.runs[0].config, {"recipe": {"backbone": str(planned.runs[3].folder)}}
    )
    assert (config.seed, backbone_of(config)) == (0, {})
    assert len({backbone_of(run.config)["backbone"] for run in planned.runs[::2]}) == 1


def test_backbones_that_differ_in_how_the_rule_was_written_are_one_method(sweep):
    """``auto`` stood for worst_group; earlier reports say worst_group."""
    runs = plan(sweep(HEADS)).runs
    assert runs[1].config.select == "auto"
    finish(runs[1], worst=0.4)
    auto = backbone_of(runs[0].config)
    path = runs[1].folder / "report.json"
    report = json.loads(path.read_text())
    report["config"]["select"] = "worst_group"
    path.write_text(json.dumps(report))
    assert backbone_of(runs[0].config) == auto != {}


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_head_on_the_sweep_s_own_erm(sweep, tmp_path, capsys):
    path = sweep(HEADS.replace("[0, 1]", "[0]"))
    assert main(["sweep", "run", str(path), *overrides(tmp_path, "epochs=1", "data.val=160")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert {line.split(" | ")[0] for line in lines if line.startswith("| ")} >= {"| dfr", "| erm"}
    (report,) = [
        json.loads(file.read_text()) for file in (tmp_path / "runs").glob("*dfr*/report.json")
    ]
    assert report["backbone"].startswith("erm ")
