"""Compares a run of two machines, of two processes each, with a run of one process.

The machines are two network namespaces, which a pair of virtual network devices connects. In each,
``torchrun`` starts two processes. After the second epoch, SIGKILL goes to one of the four. All
others must end, and the same command must resume. In the end, the weights must be those of one
process with the joined batches, to rounding, and all accuracies equal. Run by
``scripts/nodes_demo``.
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from demo_sweep import DEBIAS, SETTINGS, printed

#: No batch normalisation, whose statistics are those of each process.
RUN = {
    **SETTINGS,
    "model.name": "test_convnext",
    "strategy.name": "group_dro",
    "sampler.name": "group_balanced",
    "optimizer.lr": 0.01,
    "progress": "false",
}
NAMES, ADDRESSES, PORT = ("debias-demo-0", "debias-demo-1"), ("10.78.0.1", "10.78.0.2"), 29511


@contextmanager
def namespaces() -> Iterator[None]:
    """Two network namespaces with one device each, ``d0`` and ``d1``."""
    try:
        for name in NAMES:
            printed("ip", "netns", "add", name)
        pair = f"ip link add d0 netns {NAMES[0]} type veth peer name d1 netns {NAMES[1]}"
        printed(*pair.split())
        for node, (name, address) in enumerate(zip(NAMES, ADDRESSES, strict=True)):
            printed("ip", "-n", name, "addr", "add", f"{address}/24", "dev", f"d{node}")
            for device in (f"d{node}", "lo"):
                printed("ip", "-n", name, "link", "set", device, "up")
        yield
    finally:
        for name in NAMES:
            subprocess.run(["ip", "netns", "del", name], stderr=subprocess.DEVNULL)


def torchrun(node: int, arguments: list[str]) -> subprocess.Popen[bytes]:
    """Start the two processes of a machine."""
    meeting = f"--rdzv-endpoint={ADDRESSES[0]}:{PORT} --rdzv-conf=is_host={1 - node}"
    options = f"--nnodes=2 --nproc-per-node=2 --rdzv-backend=c10d {meeting} --rdzv-id=demo"
    start = ["ip", "netns", "exec", NAMES[node], sys.executable, "-m", "torch.distributed.run"]
    full = [*start, *options.split(), f"--local-addr={ADDRESSES[node]}", "-m", "debias"]
    return subprocess.Popen(
        [*full, *arguments], env=os.environ | {"GLOO_SOCKET_IFNAME": f"d{node}"}
    )


def child(process: int) -> int:
    """The last process that another one has started, such as the second of torchrun."""
    return int(Path(f"/proc/{process}/task/{process}/children").read_text().split()[-1])


def on_two_machines(out: Path, arguments: list[str], *, kill: bool) -> list[int]:
    """Train on both machines, and return the exit codes. A kill hits a process of the second."""
    machines = [torchrun(node, arguments) for node in range(2)]
    while kill and not any(out.glob("*/checkpoints/previous.ckpt")):
        time.sleep(0.2)
    if kill:
        print("== SIGKILL for the fourth process", flush=True)
        os.kill(child(machines[1].pid), signal.SIGKILL)
    return [machine.wait(timeout=300) for machine in machines]


def outcome(out: Path) -> tuple[dict[str, torch.Tensor], object]:
    """Weights after the last epoch, and the accuracies of all epochs and splits."""
    (report,) = out.glob("*/report.json")
    content = json.loads(report.read_text())
    state = torch.load(report.parent / "checkpoints" / "last.ckpt", weights_only=True)
    groups = {split: metrics["groups"] for split, metrics in content["metrics"].items()}
    return state["state_dict"], (groups, [epoch["val"] for epoch in content["history"]])


def main() -> None:
    """Train on one and on two machines, and compare."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--out", type=Path, default=Path("runs/nodes_demo"))
    options = parser.parse_args()
    shutil.rmtree(options.out, ignore_errors=True)
    settings = {**RUN, "epochs": options.epochs, "data.root": options.out / "birds"}
    common = ["train", "drawn_birds", *(f"{key}={value}" for key, value in settings.items())]
    alone, several = options.out / "alone", options.out / "several"
    subprocess.run([*DEBIAS, *common, f"out={alone}"], check=True)
    more = [f"out={several}", "batch_size=4", "nodes=2", "devices=2", "resume=auto"]
    with namespaces():
        killed = on_two_machines(several, [*common, *more], kill=True)
        resumed = on_two_machines(several, [*common, *more], kill=False)
    (weights, expected), (found, accuracies) = outcome(alone), outcome(several)
    difference = max(float((weights[key] - found[key]).abs().max()) for key in weights)
    same = expected == accuracies
    print(f"== exit codes after the kill {killed}, of the resumed run {resumed}")
    print(f"== largest difference of a weight {difference:.1e}, accuracies equal: {same}")
    if not same or difference > 1e-3 or any(resumed) or not all(killed):
        raise SystemExit("the run of two machines is not that of one process")


if __name__ == "__main__":
    main()
