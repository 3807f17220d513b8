"""Compares a disturbed sweep of twelve short runs on a Ray cluster with a local one.

The cluster has a head without CPUs and two nodes of this machine with one CPU each. While the sweep
runs, SIGKILL goes to the process of a run, to a Ray worker, and to a node; another node joins. In
the end all reports and tables must equal those of the local sweep, to the last digit. Run by
``scripts/ray_demo``.
"""

import argparse
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

from demo_sweep import command, same_results, training, write_sweep

RUNS = 12


def victim(out: Path, sweep: subprocess.Popen[bytes]) -> int:
    """Wait for a process that trains a run with a checkpoint, and return its number."""
    while True:
        if sweep.poll() is not None:
            raise SystemExit("the sweep ended before all kills: give more --epochs")
        for run, process in training(out).items():
            if (out / run / "checkpoints" / "last.ckpt").is_file():
                return process
        time.sleep(0.1)


def kill(process: int) -> None:
    os.kill(process, signal.SIGKILL)


def node_of(cluster: Any, process: int) -> Any:
    """The node on which a process trains a run."""
    entries = Path(f"/proc/{process}/environ").read_bytes().decode().split("\0")
    variables = dict(entry.split("=", 1) for entry in entries if entry)
    nodes = {node.all_processes["raylet"][0].process.pid: node for node in cluster.worker_nodes}
    return nodes[int(variables["RAY_RAYLET_PID"])]


def ancestor(process: int, count: int) -> int:
    for _ in range(count):
        process = int(Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[1])
    return process


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--epochs", type=int, default=40, help="enough for three kills")
    parser.add_argument(
        "--out", type=Path, default=Path("runs/ray_demo"), help="folder; emptied first"
    )
    arguments = parser.parse_args()
    from ray.cluster_utils import Cluster

    file = write_sweep(arguments.out, [0, 1, 2], arguments.epochs)
    disturbed, alone = arguments.out / "disturbed", arguments.out / "local"
    head = {"num_cpus": 0, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    for _ in range(2):
        cluster.add_node(num_cpus=1)
    launcher = ("launcher=ray", f"address={cluster.address}")
    sweep = subprocess.Popen(command(file, disturbed, *launcher, "retries=9"))
    kills = {
        "a run's process": kill,
        # the parent of a run's process is the fork server, whose parent is the Ray worker
        "a Ray worker": lambda process: kill(ancestor(process, 2)),
        "a node": lambda process: cluster.remove_node(
            node_of(cluster, process), allow_graceful=False
        ),
    }
    for name, end in kills.items():
        process = victim(disturbed, sweep)
        print(f"== SIGKILL to {name}", flush=True)
        end(process)
        time.sleep(5)
    cluster.add_node(num_cpus=1)
    assert sweep.wait() == 0
    cluster.shutdown()
    print("== local", flush=True)
    subprocess.run(command(file, alone, "workers=2", "threads=1", "retries=9"), check=True)
    same = same_results(disturbed, alone)
    print(f"{RUNS} runs, 3 kills: {'the same figures and table' if same else 'DIFFERENT'}")
    raise SystemExit(not same)


if __name__ == "__main__":
    main()
