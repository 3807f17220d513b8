"""Connects the processes of a run, on one machine or several."""

import logging
from datetime import timedelta

from lightning_fabric import Fabric
from lightning_fabric.plugins.environments.cluster_environment import ClusterEnvironment
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from lightning_fabric.plugins.environments.slurm import SLURMEnvironment
from lightning_fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from lightning_fabric.strategies.ddp import DDPStrategy

from debias.launched import SRUN, TORCHRUN, launched

#: Longest time for which processes wait for each other, as while the first one makes masks.
LONGEST_WAIT = timedelta(hours=2)


def cluster() -> ClusterEnvironment:
    """How Lightning finds the other processes: as their launcher has started them."""
    by = launched().by
    if by == TORCHRUN:
        return TorchElasticEnvironment()
    # Lightning's requeueing in Slurm would load the checkpoint of another run
    return SLURMEnvironment(auto_requeue=False) if by == SRUN else LightningEnvironment()


def connect(accelerator: str, *, nodes: int, devices: int) -> None:
    """Connect all processes of a run, and choose the device of this one.

    Without a launcher, the first process starts the others of its machine: they run the same
    command. Nothing is done for a single process.

    Args:
        accelerator: "cpu" or "cuda".
        nodes: number of machines.
        devices: number of processes on each machine.
    """
    if nodes * devices == 1:
        return
    for library in ("lightning_fabric", "pytorch_lightning.utilities.rank_zero"):
        logging.getLogger(library).setLevel(logging.WARNING)  # each process would print its number
    Fabric(
        accelerator=accelerator,
        devices=devices,
        num_nodes=nodes,
        strategy=DDPStrategy(timeout=LONGEST_WAIT),
        plugins=[cluster()],
    ).launch()
