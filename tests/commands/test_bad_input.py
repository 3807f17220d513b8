"""A user's mistake is one short line, exit code 2, and leaves nothing; the kinds are a table."""

from collections import Counter
from pathlib import Path

import pytest

from debias.__main__ import main
from tests.commands.bad_inputs import (
    audits,
    configs,
    models,
    names,
    predictions,
    sweeps,
    tables,
    trained,
    trees,
)
from tests.commands.bad_inputs.case import Case, lay_out, make_world

CASES = [
    *configs.CONFIG,
    *configs.OVERRIDE,
    *names.NAMES,
    *names.SIZES,
    *tables.CSV,
    *tables.BENCHMARKS,
    *trees.FOLDERS,
    *trees.PATTERNS,
    *trees.MASKS,
    *trees.GROUPS,
    *trees.PLACES,
    *models.WEIGHTS,
    *models.CHECKPOINTS,
    *models.RECORDS,
    *predictions.FOREIGN,
    *trained.PREDICT_AND_EXPORT,
    *audits.AUDITS,
    *sweeps.SWEEPS,
    *sweeps.SEARCHES,
    *sweeps.REPORTS,
]
#: What is wrong, and how many rows there are at least.
KINDS = {
    "config": 25,
    "override": 40,
    "names": 30,
    "sizes": 30,
    "csv": 45,
    "benchmark tables": 20,
    "folders of images": 15,
    "trees by a pattern": 15,
    "masks": 30,
    "groups": 20,
    "files and folders to write": 25,
    "weights": 20,
    "checkpoints": 15,
    "records of runs": 20,
    "predictions": 40,
    "new pictures and exports": 15,
    "audits": 15,
    "sweep files": 30,
    "searches": 20,
    "tables of runs": 20,
}
COMMANDS = {
    "train",
    "audit",
    "check",
    "evaluate",
    "predict",
    "export",
    "compare",
    "data",
    "sweep",
    "reproduce",
    "infer-groups",
    "masks",
    "list",
}
#: The folders that a refused command may have begun to write into: those of out= and cache_dir=,
#: and locks.
GIVEN = {"runs", "sweep", "m", "locks"}


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return make_world(tmp_path_factory.mktemp("world"))


def written(folder):
    return {
        path.relative_to(folder): path.lstat().st_mtime_ns
        for path in folder.rglob("*")
        if not path.is_dir()
    }


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.kind}: {case.command}"[:80])
def test_one_line_and_nothing_else(case: Case, world, tmp_path, monkeypatch, capsys):
    before = written(world)
    folder = tmp_path / "here"
    lay_out(world, folder, case.files)
    monkeypatch.chdir(folder)
    laid = written(folder)
    code = main(case.command.split(" "))
    told = capsys.readouterr().err
    print(told[:3000])
    assert code == 2
    lines = [line for line in told.splitlines() if line.startswith("debias: ")]
    assert told.endswith(lines[0] + "\n")
    assert len(lines) == 1
    assert len(told.rstrip("\n")) <= 1000
    assert case.expected in told
    assert told.rstrip("\n").isprintable()
    new = {str(path) for path, time in written(folder).items() if laid.get(path) != time}
    assert {Path(path).parts[0] for path in new} <= GIVEN
    assert written(world) == before


def test_table_of_kinds():
    """At least as many rows of each kind as this table says; the commands are all of them."""
    kinds = Counter(case.kind for case in CASES)
    assert kinds.keys() == KINDS.keys()
    assert {kind: least for kind, least in KINDS.items() if kinds[kind] < least} == {}
    assert {case.command.split(" ")[0] for case in CASES} == COMMANDS
