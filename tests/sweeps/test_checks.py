"""What is wrong with some run is said before any starts."""

import pytest

from debias.sweeps.checks import check, check_here
from debias.sweeps.plan import plan


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "grid: {strategy.step_size: [0.1]}",
            r"drawn_birds strategy.step_size=0.1 seed=0: unknown option strategy.step_size",
        ),
        (
            "grid: {strategy.name: [erm, group_dr]}",
            "unknown strategy.name 'group_dr'; did you mean 'group_dro'",
        ),
        (
            "grid: {optimizer.lr: [0.1, fast]}",
            "lr=fast seed=0: optimizer.lr must be a number; got 'fast'",
        ),
        ("grid: {model.weigths: [a.pt]}", "unknown option model.weigths; did you mean 'weights'"),
        ("grid: {epochs: [1, 0]}", "epochs=0 seed=0: epochs must be at least 1; got 0"),
        ("set: {select: test}", "unknown selection rule select='test'"),
        ("set: {devices: 2}", "devices must be 1 in a sweep; got devices=2"),
        ("set: {data.name: folder}", r"data needs root: add data\.root=\.\.\."),
        ("grid: {players.early.lrr: [1]}", "unknown option players.early.lrr"),
        ("set: {preprocessing.size: 0}", "preprocessing.size must be 1 to 4096 pixels"),
    ],
)
def test_mistakes(text, message, sweep):
    planned = plan(sweep(f"configs: [drawn_birds]\n{text}"))
    with pytest.raises(ValueError, match=message):
        check(planned.runs)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("set: {data.name: folder, data.root: gone}", "data.root=gone does not exist"),
        ("set: {groups.file: gone.csv}", "groups.file=gone.csv is not a file: make one with"),
        ("set: {groups.file: '.'}", r"groups\.file=\. is not a file"),
        ("set: {groups.file: 's3://b/g.csv'}", "groups.file=s3://b/g.csv is not a file"),
        ("grid: {model.name: [resnet18, resnet1234]}", "timm has no model 'resnet1234'"),
        ("set: {accelerator: cud}", "unknown accelerator 'cud'; did you mean 'cuda'"),
    ],
)
def test_what_the_machine_lacks(text, message, sweep):
    planned = plan(sweep(f"configs: [drawn_birds]\n{text}"))
    check(planned.runs)
    with pytest.raises(ValueError, match=message):
        check_here(planned.runs)


def test_sets_that_are_drawn_need_no_folder(sweep, tmp_path):
    check_here(plan(sweep(f"configs: [drawn_birds]\nset: {{data.root: {tmp_path}/new}}")).runs)


@pytest.mark.parametrize(
    "text",
    [
        "set: {data.name: folder, data.root: 's3://b/x'}",
        "set: {model.name: 'tests.fakes:TinyClassifier'}",
    ],
)
def test_what_the_machine_cannot_lack(text, sweep):
    """Object storage is read later, and timm does not know a user's own model."""
    check_here(plan(sweep(f"configs: [drawn_birds]\n{text}")).runs)


def test_right_runs_pass(sweep):
    check(
        plan(
            sweep("configs: [drawn_birds, drawn_birds/coral]\ngrid: {optimizer.lr: [0.1, 0.2]}")
        ).runs
    )
