"""A disk that fills up while a sweep trains: the run that does not fit fails with the reason, and
nothing else does.
"""

import ctypes
import os
import re
import subprocess
import sys
from multiprocessing import get_context
from pathlib import Path

import pytest

from debias.__main__ import main
from debias.sweeps.launchers import local
from tests.forked import forked
from tests.sweeps.test_sweep import overrides

#: A name space of its own, in which a small disk can be mounted without being root.
APART = ["unshare", "--map-root-user", "--mount"]
#: Numbers of Linux for the same: new name spaces of users and of mounts.
NEW_USERS, NEW_MOUNTS = 0x10000000, 0x00020000


def small_disks_can_be_mounted() -> bool:
    try:
        return (
            subprocess.run(
                [*APART, "mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True
            ).returncode
            == 0
        )
    except FileNotFoundError:
        return False


def on_a_small_disk(runs: Path, printed: Path, arguments: list[str]) -> None:
    """Call ``debias`` with a disk of 30 MB as the folder of the runs, which only this process and
    its own see.
    """
    user, group = os.getuid(), os.getgid()
    system = ctypes.CDLL(None, use_errno=True)
    assert system.unshare(NEW_USERS | NEW_MOUNTS) == 0, os.strerror(ctypes.get_errno())
    for name, text in {
        "setgroups": "deny",
        "uid_map": f"0 {user} 1",
        "gid_map": f"0 {group} 1",
    }.items():
        Path("/proc/self", name).write_text(text)
    mounted = system.mount(b"none", os.fsencode(runs), b"tmpfs", 0, b"size=30m")
    assert mounted == 0, os.strerror(ctypes.get_errno())
    # a fork server, or a process of it, would live outside
    local.fork_context = lambda: get_context("fork")
    os.dup2(os.open(printed, os.O_WRONLY | os.O_CREAT), 1)
    sys.exit(main(arguments))


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.skipif(not small_disks_can_be_mounted(), reason="no user name spaces here")
def test_only_the_run_that_does_not_fit_fails(sweep, tmp_path):
    """Weights of 45 MB do not fit on a disk of 30; what was written of them is removed, and the
    small run has room.
    """
    path = sweep("configs:\n  - drawn_birds: {model.name: [resnet18, test_resnet]}")
    runs = tmp_path / "runs"
    runs.mkdir()
    options = overrides(tmp_path, "epochs=1", "retries=0", f"cache_dir={tmp_path}/cache")
    options = [text for text in options if not text.startswith("model.name")]
    printed = tmp_path / "printed.txt"
    ended = forked(on_a_small_disk, runs, printed, ["sweep", "run", str(path), *options])
    ended.join()
    assert ended.exitcode == 1, printed.read_text()
    *_, counts, row = printed.read_text().splitlines()
    assert counts == "2 planned: 1 done, 1 failed"
    assert re.fullmatch(
        r"- failed: drawn_birds model.name=resnet18 seed=0: OSError: .*No space left on "
        r"device.*",
        row,
    )
