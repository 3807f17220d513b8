"""Keeps memory between the steps of a network on a CPU, instead of returning it to the system."""

import ctypes
import platform

#: Options of glibc's ``mallopt``.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
#: Freed blocks of at least this size return to the system. Without this, holes in the heap took a
#: tenth of the peak memory.
MAPPED_BYTES = 2**25
#: Free memory that stays at the top of the heap.
HEAP_BYTES = 2**30


def keep_freed_memory() -> bool:
    """Let the C library keep the freed memory of activations for the next training step.

    By default glibc maps blocks of a few MB again in each step, and the system fills their pages
    with zeros. With ``tf_efficientnet_lite0`` at 128 px and batches of 32, this is 180,000 page
    faults per step and a quarter of its time. It saves only 1 % of peak memory (``scripts/bench
    memory``).

    Returns:
        Whether the options were set. Only glibc has them; nothing changes with another C library.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    library = ctypes.CDLL(None)
    options = ((M_MMAP_THRESHOLD, MAPPED_BYTES), (M_TRIM_THRESHOLD, HEAP_BYTES))
    return all(library.mallopt(option, size) == 1 for option, size in options)
