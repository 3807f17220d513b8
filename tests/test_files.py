"""Files and folders appear whole or not at all, are on the disk then, and leave nothing behind."""

import os
from contextlib import suppress
from pathlib import Path

import pytest

from debias.files import made_whole, remove_unfinished, write_atomically, written_whole


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """The synchronised and the renamed paths, in their order."""
    made: list[tuple[str, str]] = []
    replace, fsync = os.replace, os.fsync

    def noted_replace(source: Path, target: Path) -> None:
        made.append(("replace", Path(target).name))
        replace(source, target)

    def noted_fsync(handle: int) -> None:
        made.append(("fsync", Path(os.readlink(f"/proc/self/fd/{handle}")).name))
        fsync(handle)

    monkeypatch.setattr(os, "replace", noted_replace)
    monkeypatch.setattr(os, "fsync", noted_fsync)
    return made


def test_file_is_on_the_disk_before_its_name_and_the_name_before_the_end(
    calls, tmp_path: Path
) -> None:
    """The new folder's own name, too: its parent is synchronised."""
    write_atomically(tmp_path / "made" / "note.txt", "all of it")
    draft = calls[1][1]
    assert draft.startswith(".note.txt.")
    assert draft.endswith(".tmp")
    assert calls == [
        ("fsync", tmp_path.name),
        ("fsync", draft),
        ("replace", "note.txt"),
        ("fsync", "made"),
    ]


def test_what_can_be_made_again_is_not_waited_for(calls, tmp_path: Path) -> None:
    write_atomically(tmp_path / "mask.png", b"mask", durable=False)
    assert calls == [("replace", "mask.png")]


def test_the_replaced_file_is_kept_where_asked_to(tmp_path: Path) -> None:
    path, before = tmp_path / "last", tmp_path / "previous"
    for text in ("one", "two", "three"):
        write_atomically(path, text, keep=before)
    assert (path.read_text(), before.read_text()) == ("three", "two")
    with suppress(OSError), written_whole(path, keep=before) as beside:
        beside.write_text("fo")
        raise OSError("full")
    assert (path.read_text(), before.read_text()) == ("three", "two")
    assert len(list(tmp_path.iterdir())) == 2


def test_a_folder_appears_with_its_files(tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "a"
    with made_whole(folder) as beside:
        (beside / "config.yaml").write_text("seed: 0")
        assert not folder.exists()
    assert [path.name for path in folder.iterdir()] == ["config.yaml"]
    with pytest.raises(OSError, match="not empty"), made_whole(folder) as beside:
        (beside / "config.yaml").write_text("seed: 1")
    assert (folder / "config.yaml").read_text() == "seed: 0"
    with made_whole(folder, shared=True) as beside:
        (beside / "config.yaml").write_text("seed: 2")
    assert (folder / "config.yaml").read_text() == "seed: 0"
    assert [path.name for path in folder.parent.iterdir()] == ["a"]


def test_removes_what_killed_processes_were_writing(tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "a"
    left = (".a.17.tmp/config.yaml", "a/.report.json.18.tmp", "a/checkpoints/.last.ckpt.19.tmp")
    kept = (".b.17.tmp/config.yaml", "a/report.json", "a/checkpoints/last.ckpt")
    for name in (*left, *kept):
        write_atomically(folder.parent / name, "x")
    remove_unfinished(folder)
    assert {
        path.relative_to(folder.parent).as_posix()
        for path in folder.parent.rglob("*")
        if path.is_file()
    } == {*kept}
