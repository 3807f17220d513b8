"""The launcher for a Ray cluster. Each attempt at a run is a Ray task, in a process of its own.

Ray places the tasks on nodes with free CPUs and GPUs. A task that is lost with its worker or its
node is started again, and resumes from the run's last checkpoint. Ray's own retries are off,
because they would not look at the files of the run.

All nodes see the same folders, with ``flock`` between nodes, and have the same packages.
"""

import os
import socket
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from debias.errors import InputError, check_at_least
from debias.sweeps.launchers.local import fork_context
from debias.sweeps.launchers.pool import End, Pool
from debias.sweeps.launchers.signals import PATIENCE, StopSignals
from debias.sweeps.launchers.worker import FAILED, Train, attempt
from debias.sweeps.plan import PlannedRun
from debias.sweeps.progress import Progress

#: Seconds within which a cluster must accept a connection.
PATIENCE_OF_A_PORT = 5.0


@dataclass(frozen=True, kw_only=True)
class Ray:
    """Trains runs as tasks of a Ray cluster.

    Args:
        address: address of the cluster, such as ``10.0.0.1:6379``. ``None`` takes the cluster of
            this machine, or of the environment variable ``RAY_ADDRESS``.
        cpus_per_run: CPUs that Ray reserves for each run, which are also its threads.
        gpus_per_run: GPUs that Ray reserves for each run.
        parallel: number of runs at a time; ``None`` means as many as fit on the nodes.
        retries: further attempts at a run that failed. After an ``InputError`` there are none. An
            attempt is no failure if it was lost with its worker or node after a new checkpoint.

    Raises:
        ValueError: ``cpus_per_run`` or ``parallel`` is below 1, or ``gpus_per_run`` or ``retries``
            below 0.
    """

    address: str | None = None
    cpus_per_run: int = 1
    gpus_per_run: int = 0
    parallel: int | None = None
    retries: int = 1

    def __post_init__(self) -> None:
        parallel = 1 if self.parallel is None else self.parallel
        check_at_least(1, {"cpus_per_run": self.cpus_per_run, "parallel": parallel})
        check_at_least(0, {"gpus_per_run": self.gpus_per_run, "retries": self.retries})

    def prepare(self) -> None:
        """Check that the package ray is installed.

        Raises:
            ValueError: it is not.
        """
        _imported()

    def __call__(self, runs: Iterable[PlannedRun], train: Train, progress: Progress) -> None:
        """Train runs on the cluster, and return when none is left.

        Args:
            runs: runs to train, in this order. The next is fetched when there is room.
            train: the function that trains one run. Each node imports it from its module.
            progress: shows the events.

        Raises:
            ValueError: the package ray is absent, no cluster answers, or no node is large enough.
            KeyboardInterrupt: Ctrl-C or SIGTERM stopped the sweep, and all tasks have ended.
        """
        ray = _imported()
        begun = not ray.is_initialized()
        if begun:
            _connect(ray, self.address)
        try:
            Pool(Tasks(ray, self, train), runs, progress, retries=self.retries).work()
        finally:
            if begun:
                ray.shutdown()


class Tasks:
    """Attempts as tasks of a Ray cluster.

    Args:
        ray: the package.
        options: what each task reserves.
        train: the function that trains one run.
    """

    def __init__(self, ray: Any, options: Ray, train: Train) -> None:
        self.ray, self.options, self.train = ray, options, train
        self.task = ray.remote(
            num_cpus=options.cpus_per_run, num_gpus=options.gpus_per_run, max_retries=0
        )(perform)
        self.runs: dict[Any, PlannedRun] = {}

    @property
    def active(self) -> int:
        """The number of tasks."""
        return len(self.runs)

    def room(self) -> bool:
        """Whether the nodes of this moment have room for another task."""
        if self.options.parallel is not None:
            return self.active < self.options.parallel
        nodes = [node["Resources"] for node in self.ray.nodes() if node["Alive"]]
        room = sum(_fitting(node, self.options) for node in nodes)
        if not (room or self.active):
            need = f"{self.options.cpus_per_run} CPUs and {self.options.gpus_per_run} GPUs"
            raise InputError(
                f"no node of the Ray cluster has {need} for a run: lower cpus_per_run or "
                "gpus_per_run, or add a node"
            )
        return self.active < room

    def start(self, run: PlannedRun) -> None:
        """Submit a task."""
        reference = self.task.remote(run, self.train, self.options.cpus_per_run, os.getcwd())
        self.runs[reference] = run

    def ended(self, seconds: float) -> list[End]:
        """The tasks that have ended, or were lost."""
        if not self.runs:
            time.sleep(seconds)
            return []
        done, _ = self.ray.wait(list(self.runs), num_returns=1, timeout=seconds)
        return [self._end(reference) for reference in done]

    def _end(self, reference: Any) -> End:
        run = self.runs.pop(reference)
        try:
            return End(run, self.ray.get(reference))
        except self.ray.exceptions.RayTaskError:
            raise  # an error of perform itself
        except self.ray.exceptions.RayError as error:
            return End(run, FAILED, f"Ray lost the task: {type(error).__name__}")

    def stop(self, signals: StopSignals) -> None:
        """End the tasks. The same command resumes their runs from the last checkpoint."""
        for reference in self.runs:
            self.ray.cancel(reference, force=True)
        while self.runs:
            signals.check()
            self.ended(PATIENCE)


def perform(run: PlannedRun, train: Train, threads: int, folder: str) -> int:
    """A Ray task: train one run in a process of its own, and return its exit code.

    Args:
        run: the run to train.
        train: the function that trains it.
        threads: number of threads of PyTorch.
        folder: the working folder of the launcher, in which relative paths begin.
    """
    context = fork_context()
    gpus = os.environ.get("CUDA_VISIBLE_DEVICES")  # Ray sets it for each task
    process = context.Process(target=_attempt, args=(run, train, threads, folder, gpus))
    process.start()
    process.join()
    return process.exitcode or 0


def _attempt(run: PlannedRun, train: Train, threads: int, folder: str, gpus: str | None) -> None:
    os.chdir(folder)
    if gpus is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = gpus
    attempt(run, train, threads, 0)


def _fitting(resources: dict[str, float], options: Ray) -> int:
    """How many runs fit on a node."""
    fitting = resources.get("CPU", 0) // options.cpus_per_run
    if options.gpus_per_run:
        fitting = min(fitting, resources.get("GPU", 0) // options.gpus_per_run)
    return int(fitting)


def _imported() -> Any:
    try:
        import ray
    except ImportError:
        remedy = 'pip install "debias-vision[ray]"'
        raise InputError(f"launcher=ray needs Ray: {remedy}") from None
    return ray


def _connect(ray: Any, address: str | None) -> None:
    try:
        if address is not None:
            _knock(address)  # Ray itself tries for minutes
        ray.init(address=address or "auto", log_to_driver=False, logging_level="ERROR")
    except (OSError, ValueError) as error:
        reason = str(error).strip().partition("\n")[0]
        remedy = "start one with `ray start --head`, or give its address=HOST:PORT"
        raise InputError(f"no Ray cluster answers ({reason}): {remedy}") from None


def _knock(address: str) -> None:
    host, _, port = address.removeprefix("ray://").rpartition(":")
    socket.create_connection((host, int(port)), timeout=PATIENCE_OF_A_PORT).close()
