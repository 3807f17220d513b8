"""Compares a disturbed sweep of eight short runs in Slurm with an undisturbed one on this machine.

While the sweep runs, one of its tasks is requeued, and the process of another is killed by SIGKILL.
One is preempted by a job in a higher partition, the node of one is drained, and a node fails. The
launcher is killed by SIGKILL while its jobs continue, and it is stopped by Ctrl-C. After each of
these two, the same command is started again. In the end all reports and tables must equal those of
the undisturbed sweep, to the last digit.

A Slurm must be running (``sinfo`` and ``sbatch`` work). It needs two partitions over the same
nodes; one preempts the other with ``PreemptMode=REQUEUE``. Draining nodes needs an
operator of the cluster. The folder must be on a file system that the nodes share. Run by
``scripts/slurm_demo``.
"""

import argparse
import json
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread

from demo_sweep import command, printed, same_results, write_sweep


def forward(lines: Iterable[str], training: Event) -> None:
    """Print the lines of a launcher; set the event when a run has started, or at the end."""
    for line in lines:
        print(line, end="", flush=True)
        if line.startswith("started"):
            training.set()
    training.set()


class Demo:
    """The disturbed sweep, and its disturbances."""

    def __init__(self, out: Path, partition: str, higher: str, epochs: int) -> None:
        self.out, self.partition, self.higher = out / "disturbed", partition, higher
        #: For each disturbance: its name, the run, the attempts at the run before it, and whether
        #: it must cause another attempt.
        self.events: list[tuple[str, str, int, bool]] = []
        self.file = write_sweep(out, [0, 1], epochs)

    def start(self) -> subprocess.Popen[str]:
        """Start the command, and wait until the launcher sees a run in training."""
        options = [
            f"partition={self.partition}",
            "cpus_per_run=1",
            "time=20",
            "poll=1",
            "retries=2",
        ]
        sweep = command(self.file, self.out, "launcher=slurm", *options)
        process = subprocess.Popen(sweep, stdout=subprocess.PIPE, text=True)
        training = Event()
        Thread(target=forward, args=(process.stdout, training), daemon=True).start()
        training.wait()
        return process

    def attempts(self, run: str) -> int:
        """The number of times that the run was started or resumed."""
        return (self.out / "logs" / f"{run}.log").read_text().count("process ")

    def victim(self) -> tuple[str, str]:
        """A running task with a checkpoint that was not disturbed yet: its number and its run."""
        disturbed = {event[1] for event in self.events}
        while len(list(self.out.glob("*/report.json"))) < 8:
            listings = {path.stem: path for path in (self.out / "slurm").glob("debias-*.json")}
            chosen = f"--name={','.join(listings) or 'none'}"
            for line in printed(
                "squeue", "-hr", "-t", "R", chosen, "--format=%j %F %K"
            ).splitlines():
                array, job, element = line.split()
                run = json.loads(listings[array].read_text())["runs"][int(element)]["name"]
                begun = (self.out / run / "checkpoints" / "last.ckpt").is_file()
                if (
                    run not in disturbed
                    and begun
                    and not (self.out / run / "report.json").is_file()
                ):
                    return f"{job}_{element}", run
            time.sleep(0.1)
        raise SystemExit("no run was left to disturb: give more --epochs")

    def disturb(self, what: str, how: Callable[[str], None], *, ends: bool = True) -> None:
        """Disturb a task; ``ends`` is whether this ends the task."""
        task, run = self.victim()
        self.events.append((what, run, self.attempts(run), ends))
        print(f"== {what}: job {task}, {run}", flush=True)
        how(task)

    def preempt(self, task: str) -> None:
        job = printed(
            "sbatch",
            "--parsable",
            "--exclusive",
            f"--partition={self.higher}",
            "--wrap=sleep 2",
            "-o/dev/null",
        )
        while printed("squeue", "-h", "-t", "all", "-j", job, "--format=%T") not in (
            "COMPLETED",
            "FAILED",
            "",
        ):
            time.sleep(0.5)

    @contextmanager
    def node(self, task: str, state: str) -> Iterator[str]:
        """Put the node of a task into a state for a while; yield the name of the node."""
        name = printed("squeue", "-h", "-j", task, "--format=%N")
        printed(
            "scontrol", "update", f"nodename={name}", f"state={state}", "reason=debias slurm_demo"
        )
        try:
            yield name
        finally:
            # Slurm refuses this if it has already resumed a failed node
            subprocess.run(
                ["scontrol", "update", f"nodename={name}", "state=resume"],
                stderr=subprocess.DEVNULL,
            )

    def drain(self, task: str) -> None:
        with self.node(task, "drain") as name:
            while printed("squeue", "-h", "-t", "R,CG", f"--nodelist={name}"):
                time.sleep(0.5)
            states = printed("sinfo", "-hN", f"--nodes={name}", "--format=%N is %T")
            print(f"== {states.splitlines()[0]}", flush=True)

    def fail(self, task: str) -> None:
        with self.node(task, "down"):
            time.sleep(3)


def disturbed(demo: Demo) -> None:
    launcher = demo.start()
    demo.disturb("requeued", lambda task: print(printed("scontrol", "requeue", task), end=""))
    demo.disturb(
        "killed", lambda task: print(printed("scancel", "--batch", "--signal=KILL", task), end="")
    )
    demo.disturb("preempted", demo.preempt)
    demo.disturb("launcher killed", lambda task: launcher.kill(), ends=False)
    launcher.wait()
    launcher = demo.start()
    demo.disturb("node failed", demo.fail)
    demo.disturb("stopped by Ctrl-C", lambda task: launcher.send_signal(signal.SIGINT))
    assert launcher.wait() == 130
    launcher = demo.start()
    demo.disturb("node drained", demo.drain, ends=False)
    assert launcher.wait() == 0


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--partition", default="main", help="of the sweep")
    parser.add_argument(
        "--higher", default="high", help="partition whose jobs preempt those of the sweep"
    )
    parser.add_argument(
        "--epochs",
        type=int,
        default=80,
        help="enough that a run takes longer than the partition's GraceTime",
    )
    parser.add_argument(
        "--out", type=Path, default=Path("runs/slurm_demo"), help="folder; emptied first"
    )
    arguments = parser.parse_args()
    # background jobs of a shell, and their child processes, ignore Ctrl-C
    signal.signal(signal.SIGINT, signal.default_int_handler)
    demo = Demo(arguments.out, arguments.partition, arguments.higher, arguments.epochs)
    alone = arguments.out / "undisturbed"
    disturbed(demo)
    print("== undisturbed, on this machine", flush=True)
    options = ("launcher=local", "workers=2", "threads=1")
    subprocess.run(command(demo.file, alone, *options), check=True)
    fine = True
    for what, run, before, ends in demo.events:
        after = demo.attempts(run)
        fine &= after > before or not ends
        print(f"{what:18}{run}: attempts {before} -> {after}")
    same = same_results(demo.out, alone)
    print(f"8 runs: {'the same figures and table' if same else 'DIFFERENT'}")
    raise SystemExit(not (same and fine))


if __name__ == "__main__":
    main()
