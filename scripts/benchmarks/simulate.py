"""What a sweep of 100 methods, 10 data sets and 5 seeds costs, and which part becomes the limit.

The planner, the order of the runs, the pool of the launchers, their progress and their files are
the real ones. Training is not: a stage takes the images of its recipe, times the cost of its
strategy in the table of methods, at ``--speed`` images per second of each GPU. The data sets have
the sizes of published tables. Run by ``scripts/bench simulate``.
"""

import argparse
import contextlib
import io
import json
import os
import random
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from unittest.mock import patch

import large_sweep
from rich.console import Console
from simulated_cluster import Cluster, Stage

from debias import components
from debias.json_files import Json
from debias.methods import METHODS
from debias.reports.tables import text_table
from debias.runs.run import Recipe, Run
from debias.runs.sharing import shares, stage_settings
from debias.runs.work import Work
from debias.sweeps.backbones import train_in_waves
from debias.sweeps.checks import check
from debias.sweeps.estimate import ImageCounts, images_of, step_cost
from debias.sweeps.launchers.pool import Pool
from debias.sweeps.plan import PlannedRun, plan
from debias.sweeps.progress import Progress
from debias.sweeps.published import FACTS
from debias.sweeps.savings import savings, shared_first

#: Data sets by name, with the numbers of their images.
SIZES = {name: facts.sizes for name, facts in list(FACTS.items())[:10]}
#: Recipes with the values of an option: a last stage or head for each, on the same first stage.
RECIPES: Mapping[str, tuple[str, list[Any]]] = {
    "jtt": ("upweight", [2, 4, 6, 8, 10, 20, 30, 50, 80, 100]),
    "bam": ("upweight", [5, 10, 20, 50, 100]),
    "masktune": ("deviations", [1.0, 1.5, 2.0, 2.5, 3.0]),
    "dac": ("quantile", [0.7, 0.8, 0.9]),
    "dfr": ("subsamples", [5, 10, 20, 40, 80]),
    "afr": ("steps", [100, 200, 500, 1000, 2000]),
    "crt": ("steps", [500, 1000, 2000, 5001, 10000]),
    "crm": ("steps", [100, 200, 500, 1000, 2000]),
    "class_balanced_last_layer": ("epochs", [10, 20, 50, 100, 200]),
    "dpe": ("members", [5, 10, 15, 20, 30]),
    "self": ("batch_size", [16, 32, 64, 128, 256]),
    "xrm": ("name", ["xrm"]),
    "ssa": ("name", ["ssa"]),
    "spare": ("name", ["spare"]),
    "aflite": ("name", ["aflite"]),
}
EPOCHS = 100
#: Bytes of a checkpoint after each epoch: weights and momentum of a ResNet-50 in float32.
CHECKPOINT = 2 * 4 * 23_500_000
#: What a shared file system is assumed to bear per second: calls for files, and bytes.
CALLS, DISK = 1000, 1e9


HEADER = ("shared", "GPUs", "days", "GPU-hours", "training", "used %", "waiting %")


def write_sweep(folder: Path, seeds: int) -> Path:
    """Write the sweep file of 100 settings and 10 data sets."""
    configs: list[Any] = [{"waterbirds": {"strategy.name": list(METHODS["strategy"])}}]
    for name, (option, values) in RECIPES.items():
        varied = {} if option == "name" else {f"recipe.{option}": values}
        configs.append({"waterbirds": {"recipe.name": [name], **varied}})
    sweep = {
        "configs": configs,
        "seeds": list(range(seeds)),
        "grid": {"data.root": list(SIZES)},
        "set": {"epochs": EPOCHS},
        "out": str(folder / "runs"),
    }
    path = folder / "sweep.yaml"
    path.write_text(json.dumps(sweep))  # JSON is YAML
    return path


class Prices:
    """The stages of runs with their seconds, at a number of images per second of a GPU."""

    def __init__(self, speed: float) -> None:
        self.speed = speed
        self.images: dict[str, ImageCounts] = {}
        self.alike: dict[tuple[str, ...], list[Stage]] = {}

    def stages_of(self, run: PlannedRun) -> list[Stage]:
        """The stages of a run. Runs that differ in the seed only are computed once."""
        alike = (run.source, *(text for text in run.overrides if not text.startswith("seed=")))
        if alike not in self.alike:
            self.alike[alike] = self._stages(run)
        seed = run.config.seed
        return [
            stage._replace(key=f"{stage.key} {seed}") if stage.key else stage
            for stage in self.alike[alike]
        ]

    def _stages(self, run: PlannedRun) -> list[Stage]:
        """The stages without the seed. Those that may be shared are the first of a recipe."""
        recipe: Recipe = components.construct("recipe", run.config.recipe, {})
        one, sizes = Run(run.config, Path(run.config.out)), SIZES[run.config.data["root"]]
        work = recipe.work(one, sizes)
        shareable = [config for config in recipe.shareable(one) if shares(config)]
        keys = [
            json.dumps([config.data, stage_settings(config) | {"seed": 0}]) for config in shareable
        ]
        keys += [""] * (len(work) - len(keys))
        return [Stage(key, self._seconds(part)) for key, part in zip(keys, work, strict=True)]

    def _seconds(self, work: Work) -> float:
        key = repr([work.config.epochs, work.config.sampler, *work[1:]])
        if key not in self.images:
            self.images[key] = images_of(work)
        images, cost = self.images[key], step_cost(work.config.strategy["name"])
        return cost * images.trained / self.speed + images.evaluated / (3 * self.speed)


class Meter:
    """Counts the processor seconds of this process, and its calls that a file server answers.

    Use it as a context manager. Within :meth:`apart`, nothing counts.
    """

    CALLS = ((os, "stat"), (os, "scandir"), (os, "listdir"), (os, "mkdir"), (io, "open"))

    def __init__(self) -> None:
        self.seconds, self.operations = 0.0, 0
        self.stack = contextlib.ExitStack()

    def __enter__(self) -> "Meter":
        """Begin to count."""
        for module, name in self.CALLS:
            counted = self._counting(getattr(module, name))
            self.stack.enter_context(patch.object(module, name, counted))
        self.seconds -= time.process_time()
        return self

    def __exit__(self, *error: object) -> None:
        """End counting."""
        self.seconds += time.process_time()
        self.stack.close()

    @contextlib.contextmanager
    def apart(self) -> Iterator[None]:
        """A context for work that is not the launcher's."""
        begun, operations = time.process_time(), self.operations
        yield
        self.seconds -= time.process_time() - begun
        self.operations = operations

    def _counting(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*values: Any, **options: Any) -> Any:
            """Count, and call the function."""
            self.operations += 1
            return real(*values, **options)

        return call


def simulate(
    runs: Sequence[PlannedRun],
    stages: Mapping[str, Sequence[Stage]],
    records: Mapping[str, Json],
    slots: int,
    *,
    share: bool,
) -> tuple[Cluster, Meter]:
    """Run a sweep on a cluster with some slots. Its files are in the folder of the runs."""
    meter = Meter()

    def finish(run: PlannedRun, seconds: float) -> None:
        """Write the report of a run."""
        with meter.apart():
            run.folder.mkdir(parents=True)
            time = records[run.name]["seconds"] | {"total": seconds}
            record = records[run.name] | {"seconds": time}
            (run.folder / "report.json").write_text(json.dumps(record))

    cluster = Cluster(slots, stages, finish, share=share)
    console = Console(file=io.StringIO(), soft_wrap=True)
    with meter, Progress(runs, console=console) as progress:
        train_in_waves(
            runs,
            lambda left: Pool(cluster, left, progress, retries=1).work(),
            lambda run, reason: progress.failed(run, reason, again=False),
        )
    return cluster, meter


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--speed", type=float, default=1200.0, help="images per second of a GPU")
    parser.add_argument("--gpus", type=int, nargs="+", default=[1, 8, 64])
    parser.add_argument("--seeds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        begun = time.process_time()
        planned = plan(write_sweep(Path(name), options.seeds))
        check(planned.runs, planned.labels)
        ordered = {True: shared_first(planned.runs), False: planned.runs}
        planner = time.process_time() - begun
        print("\n".join(savings(planned.runs).lines))
        prices, rng = Prices(options.speed), random.Random(0)
        stages = {run.name: prices.stages_of(run) for run in planned.runs}
        records = {
            run.name: large_sweep.record(run, rng, epochs=1, measures=0) for run in planned.runs
        }
        rows, meters = [], []
        for share in (False, True):
            for gpus in options.gpus:
                cluster, meter = simulate(ordered[share], stages, records, gpus, share=share)
                rows.append(cells(cluster, share))
                meters.append(meter)
                shutil.rmtree(planned.out)
    print("\n".join(text_table(HEADER, rows, words=1)))
    print("\n".join(limits(planner, meters, stages)))


def cells(cluster: Cluster, share: bool) -> list[str]:
    """The row of a simulated sweep."""
    held = cluster.slots * cluster.now / 3600
    return [
        "yes" if share else "no",
        f"{cluster.slots:,}",
        f"{cluster.now / 86400:.1f}",
        f"{held:,.0f}",
        f"{cluster.trained / 3600:,.0f}",
        f"{cluster.trained / 36 / held:.1f}",
        f"{cluster.waited / 36 / held:.1f}",
    ]


def limits(
    planner: float, meters: Sequence[Meter], stages: Mapping[str, Sequence[Stage]]
) -> list[str]:
    """What each run costs the planner, the launcher and the file system, and the GPUs they bear."""
    runs = len(stages)
    mean = sum(stage.seconds for every in stages.values() for stage in every) / runs
    processor = max(meter.seconds for meter in meters) / runs
    calls = max(meter.operations for meter in meters) / runs
    written = CHECKPOINT * EPOCHS / mean
    return [
        f"a run trains {mean / 3600:.1f} hours on average",
        f"planner: {planner:.0f} s of processor, {1000 * planner / runs:.1f} ms per run",
        f"launcher: {1000 * processor:.1f} ms of processor per run, a core at "
        f"{mean / processor:,.0f} GPUs",
        f"files: {calls:.0f} calls of the launcher per run, {CALLS:,} per second at "
        f"{CALLS * mean / calls:,.0f} GPUs",
        f"checkpoints: {written / 1e6:.1f} MB per second and GPU, {DISK / 1e9:.0f} GB per second "
        f"at {DISK / written:,.0f} GPUs",
    ]


if __name__ == "__main__":
    main()
