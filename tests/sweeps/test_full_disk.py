"""A disk that fills up while a sweep trains: the run that does not fit fails with the reason, and
nothing else does.
"""

import re
import subprocess
import sys

import pytest

from tests.sweeps.test_sweep import overrides

#: A name space of its own, in which a small disk can be mounted without being root.
APART = ["unshare", "--map-root-user", "--mount"]


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
    options = overrides(tmp_path, "epochs=1", f"cache_dir={tmp_path}/cache")
    options = [text for text in options if not text.startswith("model.name")]
    train = [sys.executable, "-m", "debias", "sweep", "run", str(path), *options]
    script = f'mount -t tmpfs -o size=30m none {runs} && exec "$@"'
    ended = subprocess.run(
        [*APART, "sh", "-c", script, "sh", *train], capture_output=True, text=True
    )
    assert ended.returncode == 1, ended.stderr
    *_, counts, row = ended.stdout.splitlines()
    assert counts == "2 planned: 1 done, 1 failed"
    assert re.fullmatch(
        r"- failed: drawn_birds model.name=resnet18 seed=0: OSError: .*No space left on "
        r"device.*",
        row,
    )
