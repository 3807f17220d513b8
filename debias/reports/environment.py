"""The circumstances of a run: versions of packages, state of the code, peak memory."""

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
    """Versions of debias, of Python, and of the installed packages that can change a result."""
    installed = {"debias": __version__, "python": platform.python_version()}
    for package in PACKAGES:
        with suppress(metadata.PackageNotFoundError):
            installed[package] = metadata.version(package)
    return installed


def git_state(package: Path) -> dict[str, str | bool | None]:
    """The git commit of a package's folder, and whether tracked files differ from it.

    A package that is installed inside another checkout, as in its ``.venv``, is not tracked by it.
    This function never fails.

    Returns:
        ``{"commit": str or None, "dirty": bool or None}``: ``None`` if git does not track the
            package or cannot run.
    """
    if not _git(package, "ls-files", "--error-unmatch", "__init__.py"):
        return {"commit": None, "dirty": None}
    commit = _git(package, "rev-parse", "--verify", "HEAD")
    # untracked files are ignored, because the run's own folder may be one of them
    status = _git(package, "status", "--porcelain", "--untracked-files=no")
    return {"commit": commit or None, "dirty": None if status is None else bool(status)}


def peak_memory_mb() -> int | None:
    """The peak memory of this process in MiB; ``None`` if unknown (on Windows)."""
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / 2**20 if sys.platform == "darwin" else peak / 2**10)


def _git(folder: Path, *arguments: str) -> str | None:
    command = ["git", "--no-optional-locks", "-C", str(folder), *arguments]
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
    return result.stdout.strip()
