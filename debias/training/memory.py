"""Memory of training on a CPU: kept between steps, instead of given back and asked for again."""

import ctypes
import platform

#: Options of glibc's ``mallopt``.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
#: Blocks from this size on are the system's again once they are freed: kept, they left holes of a
#: tenth of the peak.
MAPPED = 2**25
#: As much free memory at the top of the heap is kept.
KEPT = 2**30


def keep_freed_memory() -> bool:
    """Let the C library keep the memory of activations freed after a step, for the next one.

    By default glibc maps blocks of a few MB again each time, and the system fills their pages with
    zeros: with ``tf_efficientnet_lite0`` at 128 px and batches of 32 that is 180,000 page faults a
    step and a quarter of its time, for 1 % of peak memory (``scripts/bench memory``).

    Returns:
        Whether the C library took the options; others than glibc have none, and nothing is changed
        there.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    library = ctypes.CDLL(None)
    options = ((M_MMAP_THRESHOLD, MAPPED), (M_TRIM_THRESHOLD, KEPT))
    return all(library.mallopt(option, size) == 1 for option, size in options)
