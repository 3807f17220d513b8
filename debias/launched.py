"""The processes of a run that torchrun, Slurm's srun or debias itself has started.

A process reads its own place from the variables that its launcher sets, before the processes are
connected. Nothing here imports torch.
"""

import os
from typing import NamedTuple

from debias.errors import InputError

#: Who starts the processes of a run. Without a launcher, debias starts those of its own machine.
TORCHRUN, SRUN, DEBIAS = "torchrun", "srun", "debias"
#: The variable that shows which of them has started this process.
MARKS = {TORCHRUN: "TORCHELASTIC_RUN_ID", SRUN: "SLURM_STEP_NUM_TASKS", DEBIAS: "LOCAL_RANK"}


class Launched(NamedTuple):
    """What a launcher has started.

    Attributes:
        by: "torchrun", "srun" or "debias".
        rank: number of this process among all processes, counted from 0.
        nodes: number of machines; 1 if debias starts the processes.
        processes: number of processes on all machines; 1 if debias has yet to start them.
    """

    by: str
    rank: int
    nodes: int = 1
    processes: int = 1


def launched() -> Launched:
    """Who started this process, and how many others with it."""
    facts = os.environ
    if MARKS[TORCHRUN] in facts:
        nodes, processes = int(facts["GROUP_WORLD_SIZE"]), int(facts["WORLD_SIZE"])
        return Launched(TORCHRUN, int(facts["RANK"]), nodes, processes)
    # Slurm also sets SLURM_PROCID for the one process of a batch job, and for a shell of srun
    if (tasks := int(facts.get(MARKS[SRUN], "1"))) > 1:
        return Launched(SRUN, int(facts["SLURM_PROCID"]), int(facts["SLURM_STEP_NUM_NODES"]), tasks)
    return Launched(DEBIAS, int(facts.get(MARKS[DEBIAS], "0")))


def is_helper_process() -> bool:
    """Whether this process is not the first of those that train one run together.

    The first process alone prints, holds the lock of the run's folder, and writes its files.
    """
    return launched().rank != 0


def forget_launcher() -> None:
    """Let this process train a run alone, although a launcher has started others.

    ``srun`` may have started the nodes of a Ray cluster, or the same sweep on several machines.
    """
    for mark in MARKS.values():
        os.environ.pop(mark, None)


def check_launched(nodes: int, devices: int) -> None:
    """Check that the launcher has started the processes of the config.

    Args:
        nodes: number of machines.
        devices: number of processes on each.

    Raises:
        ValueError: the launcher has started other processes; or there are several nodes and no
            launcher. Only the first process raises it; the others end.
    """
    if fault := _fault(nodes, devices):
        if is_helper_process():
            raise SystemExit(2)
        raise InputError(fault)


def _fault(nodes: int, devices: int) -> str:
    by, _, machines, processes = launched()
    given = f"got nodes={nodes} devices={devices}"
    if by == DEBIAS:
        command = f"torchrun --nnodes={nodes} --nproc-per-node={devices} ... -m debias train ..."
        none = "several nodes need a launcher, which starts their processes"
        return f"{none}; {given} and none: use `{command}`, or srun" if nodes > 1 else ""
    if processes % machines:
        return f"{by} started {processes} processes on {machines} nodes: start as many on each node"
    each = processes // machines
    if (nodes, devices) != (machines, each):
        started = f"{by} started {machines} x {each} processes (nodes x devices)"
        return f"{started}; {given}: set nodes={machines} devices={each}, or start others"
    if by == SRUN and os.environ.get("SLURM_NTASKS_PER_NODE") != str(devices):
        return f"srun must say its tasks per node; {given}: add --ntasks-per-node={devices} to srun"
    return ""
