"""Under what circumstances a run was made: versions, the state of the code, memory."""

import platform
import subprocess
import sys
from contextlib import suppress
from importlib import metadata
from pathlib import Path

from debias import __version__

PACKAGES = (
    *("torch", "torchvision", "timm", "pytorch-lightning"),
    *("torchmetrics", "albumentations", "numpy"),
)


def versions() -> dict[str, str]:
    """Versions of this package, of Python, and of the packages that can change a number."""
    found = {"debias": __version__, "python": platform.python_version()}
    for package in PACKAGES:
        with suppress(metadata.PackageNotFoundError):
            found[package] = metadata.version(package)
    return found


def git_state(package: Path) -> dict[str, str | bool | None]:
    """Commit of a package's checkout, and whether tracked files differ; never fails.

    A package that is installed below somebody's checkout, as in its ``.venv``, is none of its
    files.

    Returns:
        ``{"commit": str or None, "dirty": bool or None}``: ``None`` where git does not track the
            package or cannot run.
    """
    if not _git(package, "ls-files", "--error-unmatch", "__init__.py"):
        return {"commit": None, "dirty": None}
    commit = _git(package, "rev-parse", "--verify", "HEAD")
    # Untracked files are left out: a run's own folder may be one of them.
    status = _git(package, "status", "--porcelain", "--untracked-files=no")
    return {"commit": commit or None, "dirty": None if status is None else bool(status)}


def peak_memory_mb() -> int | None:
    """The most memory this process has held, in MiB; ``None`` where unknown (Windows)."""
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / 2**20 if sys.platform == "darwin" else peak / 2**10)


def _git(folder: Path, *arguments: str) -> str | None:
    command = ["git", "--no-optional-locks", "-C", str(folder), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
