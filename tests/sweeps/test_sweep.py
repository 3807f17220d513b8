"""``debias sweep`` with real training on drawn birds: to the end, disturbed, with a bad run."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from debias.__main__ import main
from debias.commands.train import train
from debias.sweeps.files import files_of
from debias.sweeps.plan import PlannedRun, plan
from tests.commands.conftest import SMALL
from tests.forked import Command

GROUP_DRO = """
configs: [drawn_birds]
grid: {strategy.name: [group_dro], sampler.name: [group_balanced], strategy.step_size: [0.1]}
"""


def overrides(folder: Path, *more: str) -> list[str]:
    small = [text for text in SMALL if not text.startswith("progress")]
    return [*small, f"data.root={folder}/birds", "threads=1", "workers=2", *more]


@pytest.fixture
def one_run(sweep) -> Path:
    return sweep(GROUP_DRO)


@pytest.fixture
def command(one_run, tmp_path) -> list[str]:
    """The arguments of ``debias`` that run the sweep."""
    return ["sweep", "run", str(one_run), *overrides(tmp_path)]


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory) -> Path:
    """The same run by itself, with one thread as in the sweep."""
    folder = tmp_path_factory.mktemp("undisturbed")
    path = folder / "sweep.yaml"
    path.write_text(GROUP_DRO)
    (run,) = plan(path, [*overrides(folder)[:-2], f"out={folder}/runs"]).runs
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return train(run.config)
    finally:
        torch.set_num_threads(threads)


def the_run(one_run: Path, folder: Path) -> PlannedRun:
    (run,) = plan(one_run, overrides(folder)[:-2]).runs
    return run


def wait_for_checkpoint(run: PlannedRun, process: Command | subprocess.Popen[str]) -> None:
    while not (run.folder / "checkpoints" / "last.ckpt").is_file() and process.poll() is None:
        time.sleep(0.005)
    assert process.poll() is None


def assert_same_result(run: Path, other: Path) -> None:
    weights, others = (
        torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
        for folder in (run, other)
    )
    assert [key for key in weights if not torch.equal(weights[key], others[key])] == []
    one, two = (json.loads((folder / "report.json").read_text()) for folder in (run, other))
    assert (one["metrics"], one["selection"]) == (two["metrics"], two["selection"])


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_killed_worker(number, one_run, command, start, undisturbed, tmp_path):
    """A worker is killed after the first epoch: the same sweep goes on, to the same last digit."""
    run = the_run(one_run, tmp_path)
    process = start(*command)
    wait_for_checkpoint(run, process)
    os.kill(int(files_of(run).log.read_text().split()[1]), number)
    code, printed, errors = process.ended()
    assert code == 0, errors
    assert f"tried again: the process was ended by {number.name}" in printed
    assert len(re.findall(r"^process \d+$", files_of(run).log.read_text(), re.MULTILINE)) == 2
    assert_same_result(run.folder, undisturbed)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_stopped_and_started_again(one_run, command, start, undisturbed, tmp_path):
    """Ctrl-C after the first epoch: no worker is left; the command goes on, to the same digits.

    It is a process with a fork server of its own, which a terminal sends the signal too.
    """
    run = the_run(one_run, tmp_path)
    real = [sys.executable, "-m", "debias", *command]
    process = subprocess.Popen(real, start_new_session=True, stdout=subprocess.PIPE, text=True)
    wait_for_checkpoint(run, process)
    os.killpg(process.pid, signal.SIGINT)
    printed, _ = process.communicate()
    assert process.returncode == 130
    assert printed.endswith("stopped; run the same command again to continue\n")
    assert files_of(run).status() == "interrupted"
    code, _, errors = start(*command).ended()
    assert code == 0, errors
    assert_same_result(run.folder, undisturbed)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_one_failed_row(sweep, tmp_path, capsys):
    """The pictures of one config cannot be read: its row says so, and the other is done."""
    cells = [(t, b, split) for t in "ab" for b in "xy" for split in ("train", "val", "test")]
    rows = [f"{t}{b}{split}.jpg,{t},{b},{split}" for t, b, split in cells]
    (tmp_path / "data.csv").write_text("\n".join(["path,target,bias,split", *rows, ""]))
    for t, b, split in cells:
        (tmp_path / f"{t}{b}{split}.jpg").write_bytes(b"no picture")
    (tmp_path / "broken.yaml").write_text(
        f"extends: drawn_birds\ndata: {{name: table, csv: {tmp_path}/data.csv}}\n"
    )
    data = f"{{root: {tmp_path}/birds, train: 80, val: 40, test: 40}}"
    (tmp_path / "sound.yaml").write_text(f"extends: drawn_birds\ndata: {data}\n")
    path = sweep("configs: [broken.yaml, sound.yaml]")
    with pytest.raises(SystemExit) as stop:
        main(
            [
                "sweep",
                "run",
                str(path),
                *(text for text in overrides(tmp_path, "epochs=1") if text[:5] != "data."),
            ]
        )
    assert stop.value.code == 1
    printed = capsys.readouterr().out.splitlines()
    assert printed[-2] == "2 planned: 1 done, 1 failed"
    assert re.fullmatch(r"- failed: \S+broken.yaml seed=0: InputError: .*\.jpg.*", printed[-1])
    assert main(["sweep", "report", str(tmp_path / "runs")]) == 0
    reported = capsys.readouterr().out.splitlines()
    assert reported == printed[-len(reported) :]
    assert reported[2].startswith("| erm | val | 0 |")


def test_plan_says_what_is_left(sweep, tmp_path, capsys):
    path = sweep("configs: [drawn_birds]\nseeds: [0, 1]\ngrid: {workers: [0, 1]}")
    assert main(["sweep", "plan", str(path), "workers=2"]) == 0
    runs = plan(path).runs
    *lines, last = capsys.readouterr().out.splitlines()
    assert lines[:2] == [f"waiting      {run.name}  {run.settings}" for run in runs]
    assert [line.partition(": ")[0] for line in lines[2:]] == ["merged", "merged"]
    assert last == f"{tmp_path / 'runs'}: 2 runs, 2 left"
    assert not (tmp_path / "runs").exists()


def test_mistakes_are_one_line(sweep, tmp_path, capsys):
    path = sweep("configs: [drawn_birds]\ngrid: {strategy.step_size: [0.1]}")
    assert main(["sweep", "run", str(path)]) == 2
    assert (
        capsys.readouterr().err
        == "debias: drawn_birds strategy.step_size=0.1 seed=0: unknown option "
        "strategy.step_size; it has no options\n"
    )
    assert main(["sweep", "report", str(tmp_path)]) == 2
    assert main(["sweep", "report", str(tmp_path), "seed=1"]) == 2
    assert (
        "sweep report takes format= and out= beside the folder; got seed=1"
        in capsys.readouterr().err
    )
    assert not (tmp_path / "runs").exists()
