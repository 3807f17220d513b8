"""Where a sweep keeps what, and what the files say of a run: they alone say what is left."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from debias.errors import InputError
from debias.files import write_atomically
from debias.json_files import json_text, read_json
from debias.sweeps.plan import Plan, PlannedRun

PLAN = "plan.json"


@dataclass(frozen=True)
class Files:
    """The files of one run of a sweep.

    Args:
        out: folder of the sweep.
        name: of the run.
    """

    out: Path
    name: str

    @property
    def report(self) -> Path:
        """There once the run is done."""
        return self.out / self.name / "report.json"

    @property
    def log(self) -> Path:
        """What every attempt printed."""
        return self.out / "logs" / f"{self.name}.log"

    @property
    def error(self) -> Path:
        """Why the last attempt failed: the reason in one line, then the traceback."""
        return self.out / "errors" / f"{self.name}.txt"

    @property
    def pruned(self) -> Path:
        """There if a search has stopped the run early: it says at which epoch. Not done."""
        return self.out / "pruned" / f"{self.name}.txt"

    @property
    def _lock_path(self) -> Path:
        return self.out / "locks" / f"{self.name}.lock"

    def lock(self) -> FileLock:
        """Held by the process that trains the run; its death releases it; never waited for."""
        self._lock_path.parent.mkdir(parents=True, exist_ok=True)
        return FileLock(self._lock_path, timeout=0)

    def locked(self) -> bool:
        """Whether some process trains the run now."""
        if not self._lock_path.is_file():
            return False
        try:
            with self.lock():
                return False
        except Timeout:
            return True

    def status(self) -> str:
        """One of "done", "running", "pruned", "failed", "interrupted", "waiting"."""
        if self.report.is_file():
            return "done"
        if self.locked():
            return "running"
        if self.pruned.is_file():
            return "pruned"
        if self.error.is_file():
            return "failed"
        return "interrupted" if self.report.parent.is_dir() else "waiting"

    def reason(self) -> str:
        """Why the run was pruned or its last attempt failed, in one line; else nothing."""
        found = next((path for path in (self.pruned, self.error) if path.is_file()), None)
        return found.read_text(encoding="utf-8").partition("\n")[0] if found else ""


def files_of(run: PlannedRun) -> Files:
    """The files of a run."""
    return Files(Path(run.config.out), run.name)


def left(runs: Iterable[PlannedRun]) -> list[PlannedRun]:
    """Those that are not done."""
    return [run for run in runs if not files_of(run).report.is_file()]


def write_plan(plan: Plan) -> None:
    """Note in the sweep's folder which runs belong to it; the last plan counts."""
    runs = [{"name": run.name, "settings": run.settings} for run in plan.runs]
    write_atomically(plan.out / PLAN, json_text(runs))


def read_plan(out: Path) -> list[tuple[str, str]]:
    """Name and settings of each run of the sweep that was last started in a folder.

    Raises:
        ValueError: there was none.
    """
    path = out / PLAN
    if not path.is_file():
        remedy = f"give the folder of `debias sweep run`, or use `debias compare {out}`"
        raise InputError(f"{out} holds no sweep: {remedy}")
    remedy = "write it again with the same `debias sweep run`"
    entries = read_json(path, list, entries={"name": str, "settings": str}, remedy=remedy)
    return [(entry["name"], entry["settings"]) for entry in entries]
