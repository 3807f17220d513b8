"""Which words of the command line are the launcher's."""

import sys

import pytest

from debias.__main__ import main
from debias.sweeps.launchers import launcher
from debias.sweeps.launchers.local import Local
from debias.sweeps.launchers.slurm import Slurm


def test_options_and_the_rest():
    launch, rest = launcher(
        ["epochs=3", "workers=4", "launcher=local", "threads=null", "data.root=a"]
    )
    assert (launch, rest) == (Local(workers=4, threads=None), ["epochs=3", "data.root=a"])
    assert launcher([]) == (Local(workers=2, threads=None, retries=1), [])


def test_the_last_launcher_that_is_named_is_taken():
    assert launcher(["launcher=slurm", "launcher=local"]) == (Local(), [])


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["launcher=locl"], "unknown launcher 'locl'; did you mean 'local'"),
        (["workers=many"], "launcher.workers must be an integer"),
        (
            ["launcher=slurm", "minutes=10"],
            "slurm has no minutes=, an option of launcher=local",
        ),
        (["partition=gpu"], "local has no partition=, an option of launcher=slurm"),
    ],
)
def test_mistakes(overrides, message):
    with pytest.raises(ValueError, match=message):
        launcher(overrides)


@pytest.mark.parametrize(
    ("option", "value", "least"), [("workers", 0, 1), ("threads", 0, 1), ("retries", -1, 0)]
)
def test_numbers_out_of_range(option, value, least):
    with pytest.raises(ValueError, match=f"{option} must be at least {least}; got {value}"):
        Local(**{option: value})


def test_options_of_slurm():
    """A time in hours is no number in base sixty, as in YAML: 1:30:00 would be 5,400 minutes."""
    launch, rest = launcher(
        ["launcher=slurm", "time=1:30:00", "partition=gpu", "gpus_per_run=1", "workers=2"]
    )
    assert launch == Slurm(time="1:30:00", partition="gpu", gpus_per_run=1)
    assert rest == ["workers=2"]
    assert launcher(["launcher=slurm", "time=90"])[0] == Slurm(time="90")


@pytest.mark.parametrize(
    ("option", "value", "least"),
    [
        ("gpus_per_run", -1, 0),
        ("cpus_per_run", 0, 1),
        ("retries", -1, 0),
        ("array_parallelism", 0, 1),
        ("poll", 0, 0.1),
    ],
)
def test_numbers_out_of_range_for_slurm(option, value, least):
    with pytest.raises(ValueError, match=f"{option} must be at least {least}; got {value}"):
        Slurm(**{option: value})


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("ray", 'launcher=ray needs Ray: pip install "debias-vision[ray]"'),
        ("slurm", "launcher=slurm needs sbatch, which is missing"),
    ],
)
def test_a_machine_without_the_launcher_is_refused_before_anything_else(
    sweep, name, message, monkeypatch, capsys
):
    """Nothing is printed but the error, and no file is written."""
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.setenv("PATH", "")
    path = sweep("configs: [drawn_birds]")
    assert main(["sweep", "run", str(path), f"launcher={name}"]) == 2
    printed, error = capsys.readouterr()
    assert printed == ""
    assert message in error
    assert not (path.parent / "runs").exists()
