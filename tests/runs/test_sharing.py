"""No stage is trained twice, and no number of a run depends on who trained it."""

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from debias import config as configs
from debias.build import build
from debias.commands.train import train
from debias.config import Config
from debias.parts import Parts
from debias.runs.sharing import content_of, shared
from debias.store import Store
from tests.commands.conftest import overrides

TINY = ("data.train=48", "data.val=24", "data.test=16", "epochs=2", "select=average")
DFR = ("recipe.name=dfr", "recipe.subsamples=2", "measures=none")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sharing")


def config(folder: Path, *more: str) -> Config:
    places = (f"data.root={folder}/birds", f"cache_dir={folder}/cache", "measures=none")
    return configs.load("drawn_birds", [*overrides(folder, *TINY), *places, *more])


def numbers(run: Path) -> dict[str, Any]:
    """The report without times, places, and the weights' file, which has the config of its run."""
    report = json.loads((run / "report.json").read_text())
    for entry in report["history"]:
        del entry["seconds"]
    for key in ("out", "share"):
        del report["config"][key]
    others = ("seconds", "peak_memory_mb", "predicted_from", "taken")
    return {key: value for key, value in report.items() if key not in others}


def taken(run: Path) -> list[tuple[str, str]]:
    report = json.loads((run / "report.json").read_text())
    return [(entry["stage"], entry["run"]) for entry in report.get("taken", [])]


@pytest.fixture(scope="module")
def apart(folder: Path) -> list[Path]:
    """ERM and DFR, each of which trains its backbone."""
    return [train(config(folder, f"out={folder}/apart", *more)) for more in ((), DFR)]


def test_runs_that_share_have_the_numbers_of_runs_that_do_not(
    folder: Path, apart: list[Path]
) -> None:
    """The row of ERM is the backbone of DFR. A third run, elsewhere, trains nothing."""
    share = f"share={folder}/shared"
    dfr = train(config(folder, f"out={folder}/together", share, *DFR))
    erm = train(config(folder, f"out={folder}/together", share))
    again = train(config(folder, f"out={folder}/elsewhere", share, *DFR))
    assert [numbers(erm), numbers(dfr), numbers(again)] == [*map(numbers, apart), numbers(dfr)]
    trained = f"{dfr.name}/backbone"
    assert [taken(run) for run in (dfr, erm, again)] == [
        [],
        [("", trained)],
        [("backbone", trained)],
    ]
    assert f"the training is that of {trained}" in (erm / "report.html").read_text()
    for file in ("checkpoints/last.ckpt", "predictions/val-epoch=001.csv"):
        assert (erm / file).samefile(dfr / "stages" / "backbone" / file)
    assert not list((folder / "shared").rglob("*.tmp"))
    assert len(list((folder / "shared" / "stages").iterdir())) == 1


class Stopped(Exception):
    """Ends a run after its first epoch."""


def interrupt(history: list[Any]) -> None:
    raise Stopped


def test_an_interrupted_run_shares_only_what_one_machine_computes(
    folder: Path, apart: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that was begun elsewhere goes on by itself, and is not kept; else it takes the rest."""
    share = (f"share={folder}/later", f"out={folder}/begun")
    run = folder / "begun" / apart[0].name
    for code in ("elsewhere", "here"):
        monkeypatch.setattr("debias.runs.sharing.code_digest", lambda code=code: code)
        with pytest.raises(Stopped):
            train(config(folder, *share), watch=interrupt)
        assert not (folder / "later" / "stages").exists()
        if code == "elsewhere":
            monkeypatch.setattr("debias.runs.sharing.code_digest", lambda: "here")
            train(config(folder, *share), resume=run)
            assert not (folder / "later" / "stages").exists()
            run.rename(folder / "finished")
    train(config(folder, f"share={folder}/later", f"out={folder}/whole", "name=whole"))
    train(config(folder, *share), resume=run)
    assert taken(run) == [("", run.name)]
    assert numbers(run) == numbers(apart[0])


@pytest.fixture(scope="module")
def parts(folder: Path) -> Parts:
    """Those of the ERM run; each test compares with how it found them."""
    return build(config(folder))


#: Changes of a stage after which it is another one.
CHANGES: dict[str, Callable[[Parts, Config], Any]] = {
    "the seed": lambda parts, config: replace(config, seed=1),
    "an option": lambda parts, config: replace(config, optimizer=config.optimizer | {"lr": 0.1}),
    "the epochs": lambda parts, config: replace(config, epochs=3),
    "which weights are kept": lambda parts, config: replace(config, keep_all=True),
    "the batches of evaluation": lambda parts, config: replace(config, eval_batch_size=8),
    "the curves": lambda parts, config: replace(config, loggers=["csv"]),
    "the number of devices": lambda parts, config: replace(config, devices=2),
    "the number of machines": lambda parts, config: replace(config, nodes=2),
    "the precision": lambda parts, config: parts._replace(precision="bf16-mixed"),
    "the device": lambda parts, config: parts._replace(accelerator="mps"),
    "a label": lambda parts, config: parts.examples.target.sub_(1).abs_(),
    "a starting weight": lambda parts, config: parts.module.model.head.bias.data.add_(0.5),
    "a picture": lambda parts, config: os.utime(parts.examples.root / parts.examples.images[0]),
    "the threads": lambda parts, config: torch.set_num_threads(torch.get_num_threads() + 1),
}  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
def test_another_stage_has_another_key(folder: Path, parts: Parts, change: str) -> None:
    given, threads = config(folder), torch.get_num_threads()
    before = content_of(parts, given)
    changed = CHANGES[change](parts, given)
    parts = changed if isinstance(changed, Parts) else parts
    given = changed if isinstance(changed, Config) else given
    try:
        assert content_of(parts, given) != before
    finally:
        torch.set_num_threads(threads)


def test_the_code_and_the_versions_are_part_of_the_key(
    folder: Path, parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = config(folder)
    before = content_of(parts, given)
    monkeypatch.setattr("debias.runs.circumstances.versions", lambda: {"torch": "1.0"})
    monkeypatch.setattr("debias.runs.sharing.code_digest", lambda: "other")
    after = content_of(parts, given)
    assert {key for key in after if after[key] != before[key]} == {"machine", "code"}


def test_where_a_run_is_and_how_it_selects_are_not(folder: Path, tmp_path: Path) -> None:
    """Nor the path of the data, if the files are the same."""
    (tmp_path / "birds").symlink_to(folder / "birds")
    given = config(folder)
    other = config(folder, f"data.root={tmp_path}/birds", "out=x", "name=y", "select=last", *DFR)
    other = configs.changed(other, {"recipe": {"name": "single"}})
    assert content_of(build(other), other) == content_of(build(given), given)


def test_files_of_one_name_are_told_apart(folder: Path, parts: Parts) -> None:
    """A strategy of one's own may read a file that no digest covers."""
    given = config(folder)
    one, other = (
        replace(given, strategy=given.strategy | {"scores": f"{run}/predictions/train.csv"})
        for run in ("seed0", "seed1")
    )
    assert content_of(parts, one) != content_of(parts, other)


def test_the_first_process_takes_a_stage_and_the_others_wait(
    folder: Path, parts: Parts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While another run trains the stage, the first process sends a sign of life."""
    given, sent, trained = config(folder, f"share={tmp_path}"), [], []
    recorder = SimpleNamespace(history=[])

    def both(rank: int, from_first: Callable[[bool], bool]) -> None:
        monkeypatch.setattr("debias.runs.sharing.processes.rank", lambda: rank)
        monkeypatch.setattr("debias.runs.sharing.processes.from_first", from_first)
        train: Any = lambda: trained.append(len(sent)) or recorder  # noqa: E731
        shared(train, parts, given, tmp_path / f"rank{rank}", apart=False)

    monkeypatch.setattr("debias.store.PAUSE", 0.01)
    content = json.dumps(content_of(parts, given), sort_keys=True).encode()
    lock = Store(tmp_path)._lock(hashlib.sha256(content).hexdigest()[:32])
    lock.acquire()

    def send(waiting: bool) -> bool:
        """The other run ends after three signs of life."""
        sent.append(waiting)
        if len(sent) == 3:
            lock.release()
        return waiting

    both(0, send)
    assert (sent, trained) == ([True, True, True, False], [4])
    both(1, lambda _: sent.pop(0))
    assert (sent, trained) == ([], [4, 0])
