"""Memory that a step frees is there for the next one."""

import platform
import resource

import pytest
import torch

from debias.training.memory import keep_freed_memory
from tests.forked import FORKED


def faults_of_steps(keep: bool) -> int:
    """Page faults of the sixth and later "steps" of ten."""
    assert not keep or keep_freed_memory()
    for step in range(10):
        if step == 5:
            before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        held = [torch.ones(size * 2**18) for size in 8 * (24,)]
        del held
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


def faults(*, keep: bool) -> int:
    """Of a new process with the modules of a training loaded: how the C library cuts its heap
    depends on them.
    """
    with FORKED.Pool(1) as pool:
        return pool.apply(faults_of_steps, (keep,))


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="an option of glibc")
def test_freed_memory_is_used_again():
    """Five steps of 192 MB are 49,152 pages each, or 96 of 2 MB. Kept, only a few pages of the
    libraries are new. Blocks above 32 MB go back.
    """
    freed = faults(keep=False)
    assert freed > 200
    assert 2 * faults(keep=True) < freed
