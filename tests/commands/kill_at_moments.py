"""Kills a run where it changes files, resumes it, and compares it with an undisturbed one.

By hand, for 60 moments spread over the run: ``python -m tests.commands.kill_at_moments 60``.
"""

import json
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.commands.conftest import GROUP_DRO, SMALL

#: What Python tells an audit hook before it changes the disk.
CHANGES = ("open", "os.link", "os.mkdir", "os.remove", "os.rename", "os.rmdir")
RUNS = "runs"


class Disturbed:
    """Runs of one config in forked processes, each in a folder of its own, all on the same data.

    Args:
        folder: of all of them.
        arguments: of ``debias train``.
    """

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.folder = folder
        self.arguments = [
            "train",
            *arguments,
            f"data.root={folder}/data",
            f"cache_dir={folder}/cache",
            f"out={RUNS}",
        ]

    def moments(self) -> list[str]:
        """The changes of an undisturbed run, in their order."""
        self.train("first")  # draws the data and fills the cache
        assert self.train("whole") == 0
        return (self.folder / "whole" / "changes.txt").read_text().splitlines()

    def train(self, name: str, *, killed_before: int | None = None) -> int:
        """Start a run or resume it; the exit code, or -9 if it was killed before a change."""
        place = self.folder / name
        (place / "temporary").mkdir(parents=True, exist_ok=True)
        if (process := os.fork()) == 0:
            code = 1
            try:
                code = _in_child(place, [*self.arguments, "resume=auto"], killed_before)
            finally:
                os._exit(code)
        return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])

    def fault(self, name: str) -> str:
        """How a finished run differs from the undisturbed one; nothing if it does not."""
        place, whole = self.folder / name, self.folder / "whole"
        (run,) = (path.parent for path in (whole / RUNS).glob("*/config.yaml"))
        other = place / run.relative_to(whole)
        # torch makes an empty folder
        passed = [path for path in (place / "temporary").rglob("*") if path.is_file()]
        left = [path.name for path in (*passed, *(place / RUNS).rglob(".*"))]
        if left:
            return f"left {left}"
        if _files(run) != _files(other):
            return f"files differ: {sorted(_files(run) ^ _files(other))}"
        if _record(run) != _record(other):
            return "report.json differs"
        different = [
            path.name for path in (run / "predictions").iterdir() if not _same(path, other)
        ]
        different += [
            path.name for path in (run / "checkpoints").glob("epoch=*") if not _same(path, other)
        ]
        return f"content differs: {different}" if different else ""


def _in_child(place: Path, arguments: list[str], killed_before: int | None) -> int:
    import torch

    from debias.__main__ import main

    os.chdir(place)
    output = os.open("printed.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(output, 1), os.dup2(output, 2)
    tempfile.tempdir = str(place / "temporary")
    torch.set_num_threads(1)
    changes: list[str] = []
    sys.addaudithook(kill_in(place / RUNS, changes, killed_before))
    code = main(arguments)
    (place / "changes.txt").write_text("\n".join(changes))
    return code


def kill_in(
    folder: Path, changes: list[str], killed_before: int | None
) -> Callable[[str, Any], None]:
    """An audit hook that ends this process before a change in a folder, and notes those before."""
    below, own = f"{folder}{os.sep}", os.getpid()

    def hook(event: str, facts: Any) -> None:
        """Note a change in the folder, or end the process in its place."""
        if event not in CHANGES or isinstance(facts[0], int) or os.getpid() != own:
            return
        if event == "open" and not (facts[2] or 0) & (os.O_WRONLY | os.O_RDWR):
            return
        path = os.path.abspath(os.fsdecode(facts[event in ("os.link", "os.rename")]))
        if path.startswith(below):
            if len(changes) == killed_before:
                os.kill(own, signal.SIGKILL)
            changes.append(f"{event} {path.removeprefix(below)}")

    return hook


def _files(run: Path) -> set[str]:
    everything = {path.relative_to(run) for path in run.rglob("*") if path.is_file()}
    return {path.as_posix() for path in everything if path.parts[0] != "tensorboard"}


def _record(run: Path) -> dict[str, Any]:
    """The report without its times."""
    report: dict[str, Any] = json.loads((run / "report.json").read_text())
    for entry in report["history"]:
        del entry["seconds"]
    return {key: value for key, value in report.items() if key not in ("seconds", "peak_memory_mb")}


def _same(path: Path, run: Path) -> bool:
    return path.read_bytes() == (run / path.parent.name / path.name).read_bytes()


def main(count: int) -> int:
    """Kill at so many moments, every third run a second time while it resumes; the number of runs
    with a fault.
    """
    import debias.build  # imported once, for all the forked processes
    import debias.runs.outcome  # noqa: F401

    folder = Path(tempfile.mkdtemp())
    runs = Disturbed(folder, "drawn_birds", *GROUP_DRO, *SMALL)
    changes = runs.moments()
    moments = [round(place * (len(changes) - 1) / (count - 1)) for place in range(count)]
    whole = kills = 0
    for place, moment in enumerate(moments):
        name = f"killed{place}"
        ends = [runs.train(name, killed_before=moment)]
        if place % 3 == 0:
            ends.append(runs.train(name, killed_before=moment // 2))
        kills += ends.count(-signal.SIGKILL)
        fault = f"resumed with {code}" if (code := runs.train(name)) else runs.fault(name)
        whole += not fault
        print(f"{moment:4} {changes[moment]:80} {fault or 'whole'}", flush=True)
        if not fault:
            shutil.rmtree(folder / name)
    print(
        f"{whole} whole of {count}, killed {kills} times at {len(set(moments))} of {len(changes)} "
        "moments"
    )
    if whole == count:
        shutil.rmtree(folder)
    else:
        print(f"what is left: {folder}")
    return count - whole


if __name__ == "__main__":
    os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"
    sys.exit(bool(main(int(sys.argv[1]))))
