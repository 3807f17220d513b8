"""Memory that a step frees is there for the next one."""

import platform
import subprocess
import sys

import pytest

#: Page faults of the fifth and later "steps", in a process with the modules of a training loaded:
#: how the C library cuts its heap depends on them.
STEPS = """
import resource, sys, torch
import debias.training.fit
from debias.training.memory import keep_freed_memory
assert sys.argv[1] == "default" or keep_freed_memory()
for step in range(10):
    if step == 5:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    held = [torch.ones(size * 2**18) for size in 8 * (24,)]
    del held
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(how: str) -> int:
    return int(
        subprocess.run(
            [sys.executable, "-c", STEPS, how], check=True, capture_output=True, text=True
        ).stdout
    )


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="an option of glibc")
def test_freed_memory_is_used_again():
    """Five steps of 192 MB are 49,152 pages each, or 96 of 2 MB; kept, they are none. Blocks above
    32 MB go back.
    """
    assert faults("default") > 200
    assert faults("kept") < 50
