"""``debias cache``: what is kept, who has it, and what pruning frees."""

import os
import shutil
import time
import zipfile
from pathlib import Path

import pytest

from debias.__main__ import main
from debias.store import LAST, KeptStage, Store

DAY = 86400


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    """A sweep whose stages are 5, 50 and 500 days old; of the second, the run is deleted."""
    store, now = Store(tmp_path / "shared"), time.time()
    for number, name in enumerate(("new", "gone", "old")):
        place = f"{name}/stages/first" if name == "old" else name
        run, key = tmp_path / place, str(number) * 32
        (run / LAST).parent.mkdir(parents=True)
        with zipfile.ZipFile(run / LAST, "w") as file:
            file.writestr("weights", bytes(2_000_000))
        store.keep(key, run, KeptStage(name, str(run), 1, 1.0, {}))
        entry = tmp_path / "shared" / "stages" / key
        for path in (entry / "kept.json", *(entry / "users").iterdir()):
            os.utime(path, times=(now, now - 5 * 10**number * DAY))
    shutil.rmtree(tmp_path / "gone")
    (tmp_path / "shared" / "features").mkdir()
    (tmp_path / "shared" / "features" / "0123-val.pt").write_bytes(bytes(1_000_000))
    return tmp_path


def cache(*arguments: str) -> int:
    return main(["cache", *map(str, arguments)])


def kept(sweep: Path) -> list[str]:
    return sorted(item.name for item in Store(sweep / "shared").items())


@pytest.mark.parametrize("place", ["", "shared"])
def test_list(sweep: Path, place: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cache("list", str(sweep / place)) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split() for line in lines[2:6]] == [
        ["features", "0123-val", "1.0", "1.0", "0", "s", "ago", "-"],
        ["gone", "2.0", "2.0", "50.0", "d", "ago", "-"],
        ["new", "2.0", "0.0", "5.0", "d", "ago", "new"],
        ["old", "2.0", "0.0", "500.0", "d", "ago", "old"],
    ]
    assert "3 stages and 1 files of features, 7.0 MB" in lines


@pytest.mark.parametrize(
    ("option", "left"),
    [
        ("days=30", ["features 0123-val", "new"]),
        ("unused=true", ["features 0123-val", "new", "old"]),
        ("gb=0.0051", ["features 0123-val", "gone", "new"]),
        ("gb=0.004 unused=true", ["features 0123-val", "new"]),
        ("days=5000", ["features 0123-val", "gone", "new", "old"]),
        ("days=0", []),
    ],
)
def test_prune(sweep: Path, option: str, left: list[str]) -> None:
    """Least recently used first; a run keeps its own files."""
    assert cache("prune", str(sweep), *option.split()) == 0
    assert kept(sweep) == left
    assert (sweep / "old" / "stages" / "first" / LAST).stat().st_size > 2_000_000


def test_a_moved_sweep_has_its_runs(sweep: Path) -> None:
    moved = sweep.rename(sweep.with_name(f"{sweep.name}_moved"))
    assert cache("prune", str(moved), "unused=true") == 0
    assert kept(moved) == ["features 0123-val", "new", "old"]


def test_a_stage_in_work_stays_and_remains_of_killed_processes_go(
    sweep: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    remains = sweep / "shared" / "stages" / f".{'7' * 32}.abc.tmp"
    remains.mkdir()
    with Store(sweep / "shared").alone("2" * 32, lambda: None):
        assert cache("prune", str(sweep), "days=30") == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == "left old: a process trains or takes it now"
    assert printed[1].startswith("removed gone, last used 50")
    assert printed[2].startswith("2.0 MB freed; left: 2 stages and 1 files of features")
    assert not remains.exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("prune", "."), "add days=30, unused=true or gb=20"),
        (("prune", ".", "day=3"), "unknown option 'day' of cache prune"),
        (("prune", ".", "days=many"), "days must be as in days=30; got many"),
        (("prune", ".", "unused=1"), "unused must be as in unused=true; got 1"),
        (("prune", ".", "gb=-1"), "gb must be"),
        (("list", ".", "days=3"), "takes a folder only"),
        (("list", "new"), "keeps no stages or features"),
    ],
)
def test_mistakes(
    sweep: Path,
    arguments: tuple[str, ...],
    message: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(sweep)
    assert cache(*arguments) == 2
    assert message in capsys.readouterr().err
    assert len(kept(sweep)) == 4
