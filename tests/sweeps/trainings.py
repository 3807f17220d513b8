"""Stand-ins for ``debias.commands.train.train`` that take no time, and end in every way that
training can end.
"""

import json
import os
import signal
import time
from pathlib import Path

import torch
from torch import nn

from debias import config as configs
from debias.config import Config
from debias.errors import InputError
from debias.places import runs_folder
from debias.sweeps.launchers.pieces import OutOfTime
from debias.training.terms import EpochSums, check_finite
from tests.reports.sample_runs import sample_report

SECONDS = {"train": 3.0, "epoch": 1.0, "total": 4.0}


def quick(config: Config, *, resume: Path | None = None) -> Path:
    """Notes the attempt, and writes a report: the selection rule reads lr x 10 after 4 seconds."""
    folder = runs_folder(config) / configs.run_name(config)
    folder.mkdir(exist_ok=True)
    configs.save(config, folder / "config.yaml")
    with (folder / "attempts.txt").open("a") as file:
        file.write("resumed\n" if resume else "started\n")
    report = sample_report(seed=config.seed) | {
        "config": configs.plain(config),
        "seconds": SECONDS,
        "selection": {
            "rule": "worst_group",
            "epoch": 0,
            "table": [{"rule": "worst_group", "epoch": 0, "value": 10 * config.optimizer["lr"]}],
        },
    }
    print(f"trained seed {config.seed}")
    (folder / "report.json").write_text(json.dumps(report))
    return folder


def attempts(config: Config) -> int:
    path = Path(config.out) / configs.run_name(config) / "attempts.txt"
    return len(path.read_text().splitlines()) if path.is_file() else 0


def begin(config: Config) -> int:
    """As an attempt that leaves a checkpoint; how many there were before."""
    before = attempts(config)
    folder = Path(config.out) / configs.run_name(config)
    folder.mkdir(exist_ok=True)
    (folder / "config.yaml").touch()
    with (folder / "attempts.txt").open("a") as file:
        file.write("begun\n")
    return before


def seed_one_fails(config: Config, *, resume: Path | None = None) -> Path:
    """Seed 1 never gets anywhere."""
    if config.seed == 1:
        begin(config)
        raise OSError(28, "No space left on device\nreally")
    return quick(config, resume=resume)


def seed_one_is_refused(config: Config, *, resume: Path | None = None) -> Path:
    """Seed 1 makes a user's mistake."""
    if config.seed == 1:
        begin(config)
        raise InputError("images/7.jpg cannot be read: restore it")
    return quick(config, resume=resume)


def seed_one_diverges(config: Config, *, resume: Path | None = None) -> Path:
    """Seed 1 is stopped by the check of its losses."""
    if config.seed == 1:
        begin(config)
        sums = EpochSums()
        sums.steps, sums.finite_steps = 6, torch.tensor(3)
        check_finite(nn.Linear(1, 1), sums, epoch=0)
    return quick(config, resume=resume)


def seed_one_is_killed_once(config: Config, *, resume: Path | None = None) -> Path:
    """Seed 1 is killed at its first attempt."""
    if config.seed == 1 and begin(config) == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return quick(config, resume=resume)


def seed_one_leaves_quietly(config: Config, *, resume: Path | None = None) -> Path:
    """Seed 1 ends with code 0, and without a report."""
    if config.seed == 1:
        raise SystemExit
    return quick(config, resume=resume)


def on_its_backbone(config: Config, *, resume: Path | None = None) -> Path:
    """A head finds the report of its backbone; the backbone of seed 1 fails once."""
    if backbone := config.recipe.get("backbone"):
        assert (Path(backbone) / "report.json").is_file()
    elif config.seed == 1 and begin(config) == 0:
        raise OSError(28, "No space left on device")
    return quick(config, resume=resume)


def slow(config: Config, *, resume: Path | None = None) -> Path:
    """Half a second."""
    time.sleep(0.5)
    return quick(config, resume=resume)


def endless(config: Config, *, resume: Path | None = None) -> Path:
    """Never ends by itself."""
    begin(config)
    while True:
        time.sleep(0.1)


def endless_but_watched(config: Config, *, resume: Path | None = None, watch: object) -> Path:
    """Never ends an epoch."""
    return endless(config)


def seed_zero_waits_for_the_end_of_its_node(config: Config, *, resume: Path | None = None) -> Path:
    """Seed 0 writes a checkpoint and the process of its node of a Ray cluster, and waits."""
    if config.seed == 0 and not resume:
        begin(config)
        folder = Path(config.out) / configs.run_name(config)
        (folder / "last.ckpt").touch()
        (folder / "node.txt").write_text(os.environ["RAY_RAYLET_PID"])
        time.sleep(600)
    return quick(config, resume=resume)


def seed_zero_is_late(config: Config, *, resume: Path | None = None, watch: object) -> Path:
    """Writes a checkpoint, and has no time for another epoch."""
    begin(config)
    (Path(config.out) / configs.run_name(config) / "last.ckpt").touch()
    raise OutOfTime("the next epoch takes 7 s, and does not fit")


def deaf(config: Config, *, resume: Path | None = None) -> Path:
    """Ignores the signal by which a launcher ends a worker, for a minute."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    print("ready", flush=True)
    time.sleep(60)
    print("ended", flush=True)
    return quick(config, resume=resume)
