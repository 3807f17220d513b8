"""Searches by real processes: two commands on one database, and PostgreSQL in place of a file."""

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from debias.commands.sweep_search import search
from debias.sweeps.launchers.local import Local
from debias.sweeps.search.planning import plan_search
from tests.forked import forked
from tests.sweeps.search import trainings
from tests.sweeps.search.inline import inline
from tests.sweeps.search.test_search import table

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

POSTGRES = sorted(Path("/usr/lib/postgresql").glob("*/bin"))


def by_processes(path: Path, *overrides: str) -> None:
    """A whole search by the local launcher, as one command does it."""
    search(plan_search(path, overrides), Local(workers=2, threads=1), trainings.learn)


def test_two_commands_share_a_search(search_file):
    """Each of five settings once, in whichever process; both end when all are done."""
    path = search_file(
        "{sampler: grid, space: {optimizer.lr: {choice: [0.1, 0.05, 0.02, 0.01, 0.001]}}}"
    )
    commands = [forked(by_processes, path) for _ in range(2)]
    for command in commands:
        command.join()
    assert [command.exitcode for command in commands] == [0, 0]
    out = path.parent / "runs"
    assert [row["status"] for row in table(out)] == ["done"] * 5
    attempts = [file.read_text() for file in (out / "trials").glob("*/attempts.txt")]
    assert attempts == ["started\n"] * 5


def test_a_worker_prunes(search_file):
    """The pruner is asked in the run's own process, which leaves the note and no report."""
    path = search_file(
        "{sampler: grid, prune: asha, space: {optimizer.lr: {choice: [0.01, 0.1]}}}",
        set="{epochs: 9}",
    )
    search(plan_search(path), Local(workers=1, threads=1), trainings.learn)
    out = path.parent / "runs"
    assert [row["status"] for row in table(out)] == ["done", "pruned"]
    (note,) = (out / "trials" / "pruned").iterdir()
    assert note.read_text() == "pruned after epoch 1 of 9, at validation worst_group 67.0\n"


@pytest.fixture
def server(tmp_path_factory) -> Iterator[str]:
    """URL of a PostgreSQL server of its own, which refuses to run as root."""
    pytest.importorskip("psycopg")
    if not POSTGRES:
        pytest.skip("Debian's package postgresql is not installed")
    folder = tmp_path_factory.mktemp("postgres")
    user = ["runuser", "-u", "postgres", "--"] if os.getuid() == 0 else []
    for place in (folder, *folder.parents[:3]):
        place.chmod(0o755)
    if user:
        shutil.chown(folder, "postgres")
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    call = partial(subprocess.run, check=True, stdout=subprocess.DEVNULL, cwd=folder)
    data = str(folder / "data")
    control = [*user, str(POSTGRES[-1] / "pg_ctl"), "-D", str(folder / "data")]
    call(
        [
            *user,
            str(POSTGRES[-1] / "initdb"),
            "-D",
            data,
            "-A",
            "trust",
            "-U",
            "debias",
            "--no-sync",
        ]
    )
    options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c fsync=off"
    call([*control, "-w", "-o", options, "-l", str(folder / "log"), "start"])
    yield f"postgresql+psycopg://debias@127.0.0.1:{port}/postgres"
    call([*control, "-m", "immediate", "stop"])


def test_postgresql(server, search_file):
    """Stopped after two of four settings and gone on with, in a real database; and pruned in it."""
    path = search_file("{sampler: grid, space: {optimizer.lr: {choice: [0.1, 0.02, 0.01, 0.001]}}}")
    planned = plan_search(path, [f"storage={server}"])
    with pytest.raises(SystemExit):
        search(planned, partial(inline, most=2), trainings.learn)
    found = search(planned, inline, trainings.learn)
    assert [(run.config.optimizer["lr"], run.config.seed) for run in found.runs] == [
        (0.01, 10),
        (0.01, 11),
    ]
    assert [row["status"] for row in table(planned.out)] == ["done"] * 4
    assert not (planned.out / "search.db").exists()
    told = [
        f"storage={server}",
        "out=" + str(path.parent / "pruned"),
        "search.prune=asha",
        "epochs=9",
    ]
    pruned = plan_search(path, told)
    search(pruned, inline, trainings.learn)
    assert [row["status"] for row in table(pruned.out)] == ["done", "done", "done", "pruned"]
