"""What the runs of a sweep share is trained once, early, and counted."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from debias.__main__ import main
from debias.sweeps.plan import PlannedRun, plan
from debias.sweeps.reproduce import reproduction
from debias.sweeps.savings import Savings, savings, shared_first

#: Of each seed, 8 epochs of Group DRO, ERM, DFR and AFR, whose backbone sees a part of the images,
#: and three times JTT, each with 2 + 8.
SWEEP = """
configs:
  - drawn_birds: {strategy.name: [group_dro]}
  - drawn_birds/jtt: {recipe.upweight: [2, 5, 9]}
  - drawn_birds
  - drawn_birds/dfr: {select: [average]}
  - drawn_birds/afr
seeds: [0, 1]
"""


def names(runs: Sequence[PlannedRun]) -> list[str]:
    return [run.settings.removeprefix("drawn_birds").removesuffix(" seed=0") for run in runs]


def test_equal_stages_are_trained_once_and_first(sweep: Callable[[str], Path]) -> None:
    """One identification of three, and ERM, whose rule does not matter, in place of DFR."""
    runs = plan(sweep(SWEEP)).runs
    assert savings(runs) == Savings(2 * (4 * 8 + 3 * 10), 2 * (4 * 8 + 3 * 10 - 2 * 2 - 8))
    ordered = shared_first(runs)
    assert names(ordered[:7]) == [
        *("/jtt recipe.upweight=2", "", " strategy.name=group_dro", "/afr"),
        *("/jtt recipe.upweight=5", "/jtt recipe.upweight=9", "/dfr select=average"),
    ]
    assert [run.config.seed for run in ordered] == [0] * 7 + [1] * 7
    assert {run.name for run in ordered} == {run.name for run in runs}


@pytest.mark.parametrize("change", ["share=null", "loggers=[wandb]", "recipe.backbone=pretrained"])
def test_nothing_is_saved(sweep: Callable[[str], Path], change: str) -> None:
    configs = "[drawn_birds/dfr, drawn_birds/crt]"
    runs = plan(sweep(f"configs: {configs}"), [change]).runs
    assert savings(plan(sweep(f"configs: {configs}")).runs) == Savings(16, 8)
    assert savings(runs).lines == []


@pytest.mark.parametrize("backbone", ["pretrained", '"{drawn_birds}"'])
def test_a_backbone_that_a_run_does_not_train_is_not_counted(
    sweep: Callable[[str], Path], backbone: str
) -> None:
    """The 8 epochs are those of the backbone's own run."""
    heads = f"drawn_birds/dfr: {{recipe.backbone: [{backbone}], recipe.subsamples: [1, 2]}}"
    assert savings(plan(sweep(f"configs: [drawn_birds, {heads}]")).runs) == Savings(8, 8)


def test_stages_that_differ_in_the_seed_are_not_equal(sweep: Callable[[str], Path]) -> None:
    """Two runs with 8 epochs after the same five biased networks of 4 epochs each."""
    runs = plan(sweep("configs: [drawn_birds/bias_ensemble: {recipe.agreement: [2, 3]}]")).runs
    assert savings(runs) == Savings(2 * (5 * 4 + 8), 5 * 4 + 2 * 8)


def test_published_settings_share_backbones() -> None:
    """Three seeds of ERM and of three last layers on two backbones, of 100 epochs each."""
    shared = ("erm_augmented", "dfr", "class_balanced_last_layer", "self")
    planned, _ = reproduction("waterbirds", ["data.root=anywhere"], names=shared)
    assert savings(planned.runs) == Savings(1200, 600)


def test_the_plan_says_what_sharing_saves(
    sweep: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["sweep", "plan", str(sweep(SWEEP)), "seeds=[3]"]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert "equal stages are trained once: 50 epochs in place of 62 (0.81)" in printed
    assert "drawn_birds/jtt recipe.upweight=2 seed=3" in printed[0]
