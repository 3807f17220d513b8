"""The files of a sweep. They alone determine the status of each run and which runs are left."""

import os
from collections.abc import Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from debias.errors import InputError
from debias.files import write_atomically
from debias.json_files import json_text, read_json
from debias.places import runs_folder
from debias.storage.leases import LEASES, is_held
from debias.sweeps.plan import Plan, PlannedRun

PLAN = "plan.json"
#: Folders with one file per run: its error, why it was pruned, and its lock.
ERRORS, PRUNED, LOCKS = "errors", "pruned", "locks"


@dataclass(frozen=True)
class Files:
    """The paths of the files of one run in a sweep's folder.

    Args:
        out: folder of the sweep.
        name: name of the run's folder.
    """

    out: Path
    name: str

    @property
    def report(self) -> Path:
        """The run's ``report.json``, which exists once the run is done."""
        return self.out / self.name / "report.json"

    @property
    def log(self) -> Path:
        """The log file: the output of all attempts at the run."""
        return self.out / "logs" / f"{self.name}.log"

    @property
    def error(self) -> Path:
        """The file with the error of the last attempt: the reason in one line, then the traceback.

        It exists only if the last attempt failed.
        """
        return self.out / ERRORS / f"{self.name}.txt"

    @property
    def pruned(self) -> Path:
        """The file that exists if a search stopped the run early. It names the epoch.

        Such a run has no report and is not done.
        """
        return self.out / PRUNED / f"{self.name}.txt"

    @property
    def _lock_path(self) -> Path:
        return self.out / LOCKS / f"{self.name}.lock"

    def lock(self) -> FileLock:
        """The lock that the training process of the run holds until it ends.

        Acquiring it does not wait: it raises ``filelock.Timeout`` if another process holds it.
        """
        self._lock_path.parent.mkdir(parents=True, exist_ok=True)
        return FileLock(self._lock_path, timeout=0)

    def locked(self) -> bool:
        """Whether a process is training the run now."""
        if not self._lock_path.is_file():
            return False
        try:
            with self.lock():
                return False
        except Timeout:
            return True

    def status(self) -> str:
        """The run's status by its files.

        One of "done", "running", "pruned", "failed", "interrupted" and "waiting".
        """
        if self.report.is_file():
            return "done"
        if self.locked() or is_held(self.out / LEASES / self.name):
            return "running"
        if self.pruned.is_file():
            return "pruned"
        if self.error.is_file():
            return "failed"
        return "interrupted" if self.report.parent.is_dir() else "waiting"

    def reason(self) -> str:
        """Why the run was pruned or its last attempt failed, in one line; otherwise empty."""
        for path in (self.pruned, self.error):
            with suppress(FileNotFoundError):  # also if another attempt starts at this moment
                return path.read_text(encoding="utf-8").partition("\n")[0]
        return ""


def files_of(run: PlannedRun) -> Files:
    """The files of a planned run, in the folder that its config names as ``out``."""
    return Files(runs_folder(run.config), run.name)


def statuses(out: Path, names: Iterable[str], *, done: Collection[str] = ()) -> dict[str, str]:
    """The status of many runs, as :meth:`Files.status`.

    It lists five folders. Only of runs that have begun and not ended does it look at single files.

    Args:
        out: folder of the sweep.
        names: names of the runs.
        done: runs that are known to be done. Their files are not looked at.
    """
    begun, locks, pruned, errors = (_listed(out / folder) for folder in ("", LOCKS, PRUNED, ERRORS))
    leases = _listed(out / LEASES)

    def status(name: str) -> str:
        """The status of one run. A run that ends meanwhile is done."""
        files = Files(out, name)
        if name in done or (name in begun and files.report.is_file()):
            return "done"
        if name in locks and files.locked():
            return "running"
        if name in leases and is_held(out / LEASES / name):
            return "running"
        if name in locks and files.report.is_file():
            return "done"
        if name in pruned or name in errors:
            return "pruned" if name in pruned else "failed"
        return "interrupted" if name in begun else "waiting"

    return {name: status(name) for name in names}


def _listed(folder: Path) -> set[str]:
    """The names in a folder, without the endings of files; none if there is no such folder."""
    try:
        return {name.removesuffix(".lock").removesuffix(".txt") for name in os.listdir(folder)}
    except FileNotFoundError:
        return set()


def left(runs: Iterable[PlannedRun]) -> list[PlannedRun]:
    """Return the runs that are not done: those without a ``report.json``."""
    return [run for run in runs if not files_of(run).report.is_file()]


def last_checkpoint(run: PlannedRun) -> float:
    """The time of ``time.time`` at which a run last wrote a checkpoint; 0 before the first."""
    return max((path.stat().st_mtime for path in run.folder.rglob("*.ckpt")), default=0.0)


def write_plan(plan: Plan) -> None:
    """Write ``plan.json``, the list of the sweep's runs, into its folder.

    An earlier plan in the folder is replaced.
    """
    runs = [{"name": run.name, "settings": run.settings} for run in plan.runs]
    write_atomically(plan.out / PLAN, json_text(runs))


def read_plan(out: Path) -> list[tuple[str, str]]:
    """Read the name and settings of each run from a folder's ``plan.json``.

    Raises:
        ValueError: the folder has no ``plan.json``, or one that cannot be read.
    """
    path = out / PLAN
    if not path.is_file():
        remedy = f"Give the folder of `debias sweep run`, or use `debias compare {out}`"
        raise InputError(f"{out} contains no sweep (no {PLAN}). {remedy}")
    remedy = "write it again with the same `debias sweep run`"
    entries = read_json(path, list, entries={"name": str, "settings": str}, remedy=remedy)
    return [(entry["name"], entry["settings"]) for entry in entries]
