"""Processor seconds and page faults of a training step, with and without keeping freed memory.

The baseline is unchanged PyTorch; the other side uses
:func:`debias.training.memory.keep_freed_memory`. Each side trains ``tf_efficientnet_lite0`` on
random pictures in its own process with one thread, in turns. The median of the pairs counts. Run
by ``scripts/bench memory``.
"""

import argparse
import resource
import statistics
import subprocess
import sys

STEPS = 15


def measure(size: int, batch: int) -> None:
    """Print processor seconds and page faults per step, and the peak memory in MB."""
    import timm
    import torch

    torch.set_num_threads(1)
    layout = torch.channels_last
    model = (
        timm.create_model("tf_efficientnet_lite0", num_classes=2).to(memory_format=layout).train()
    )
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9)
    image = torch.randn(batch, 3, size, size).contiguous(memory_format=layout)
    target = torch.randint(2, (batch,))
    for step in range(3 + STEPS):
        if step == 3:
            before = resource.getrusage(resource.RUSAGE_SELF)
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(image), target).backward()
        optimizer.step()
    after = resource.getrusage(resource.RUSAGE_SELF)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(seconds / STEPS, (after.ru_minflt - before.ru_minflt) / STEPS, after.ru_maxrss / 1024)


def side(name: str, options: argparse.Namespace) -> list[float]:
    command = [
        sys.executable,
        __file__,
        "--side",
        name,
        f"--size={options.size}",
        f"--batch={options.batch}",
    ]
    return [
        float(text)
        for text in subprocess.run(
            command, check=True, capture_output=True, text=True
        ).stdout.split()
    ]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--side", choices=["plain", "kept"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        from debias.training.memory import keep_freed_memory

        assert options.side == "plain" or keep_freed_memory(), "not glibc"
        measure(options.size, options.batch)
        return
    pairs = [(side("plain", options), side("kept", options)) for _ in range(options.pairs)]
    for name, place in (("plain", 0), ("kept", 1)):
        seconds, faults, peak = (
            statistics.median(pair[place][number] for pair in pairs) for number in range(3)
        )
        print(f"{name:6}{seconds:.3f} s per step, {faults:,.0f} page faults, peak {peak:,.0f} MB")
    print(f"kept / plain: {statistics.median(kept[0] / plain[0] for plain, kept in pairs):.2f}")


if __name__ == "__main__":
    main()
