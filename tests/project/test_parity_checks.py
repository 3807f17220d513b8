"""``scripts/parity`` takes the code it names, measures what differs, fails where something does."""

import ast
import math
import re
import subprocess
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest
import torch

ROOT = Path(__file__).parents[2]

SOURCE = """
def doubled(x: "Missing") -> Missing:
    return 2 * x.cuda().float()

class Loss:
    def forward(self, x):
        scale = torch.cuda.FloatTensor([3.0])
        for _ in range(2):
            x = x * scale
        return x

def twice(): pass
def twice(): pass
"""


@pytest.fixture(scope="module", autouse=True)
def scripts() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "scripts"))
        yield


@pytest.fixture
def official() -> ModuleType:
    return import_module("parity_checks.official")


@pytest.fixture
def references() -> ModuleType:
    return import_module("parity_checks.references")


@pytest.fixture
def cases() -> ModuleType:
    return import_module("parity_checks.cases")


@pytest.fixture
def command() -> ModuleType:
    return import_module("parity_checks.__main__")


def _git(folder: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false")
    done = subprocess.run(
        ["git", *identity, *arguments], cwd=folder, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


@pytest.fixture
def clones(tmp_path: Path, official: ModuleType, references: ModuleType) -> object:
    """A repository whose file has changed since the commit that is named."""
    folder = tmp_path / "owner" / "name"
    folder.mkdir(parents=True)
    _git(folder, "init", "--quiet")
    (folder / "loss.py").write_text(SOURCE)
    _git(folder, "add", "loss.py")
    _git(folder, "commit", "--quiet", "-m", "one")
    commit = _git(folder, "rev-parse", "HEAD")
    (folder / "loss.py").write_text("")
    _git(folder, "commit", "--quiet", "-a", "-m", "two")
    found, lost = references.Reference(commit, "MIT"), references.Reference("0" * 40, "MIT")
    (tmp_path / "owner" / "lost").symlink_to(folder)
    return official.Clones(tmp_path, {"owner/name": found, "owner/lost": lost})


def test_definitions_run_in_float64_on_the_processor(clones):
    code = clones.take("owner/name", "loss.py", "doubled", "Loss")
    assert code["doubled"](torch.tensor([1.5])).tolist() == [3.0]
    assert code["doubled"](torch.tensor([1.5])).dtype == torch.float64
    assert code["Loss"]().forward(torch.tensor([1.0])).tolist() == [9.0]
    assert re.fullmatch(r"owner/name@[0-9a-f]{10} loss\.py", code.source)


def test_lines_of_a_loop_run_with_what_they_are_given(clones):
    code = clones.lines("owner/name", "loss.py", 8, 9)
    assert code.run({"x": 1, "scale": 5})["x"] == 25
    assert code.source.endswith("loss.py:8-9")


@pytest.mark.parametrize(("name", "times"), [("absent", 0), ("twice", 2)])
def test_a_definition_that_is_not_there_once_is_refused(clones, name, times):
    with pytest.raises(
        ValueError, match=rf"^owner/name@.* loss.py defines '{name}' {times} times, and the check"
    ):
        clones.take("owner/name", "loss.py", name)


@pytest.mark.parametrize(("first", "last"), [(7, 8), (8, 8), (9, 11), (40, 41)])
def test_lines_that_are_not_whole_statements_are_refused(clones, first, last):
    with pytest.raises(ValueError, match=f"has no statements from line {first} to line {last}$"):
        clones.lines("owner/name", "loss.py", first, last)


def test_a_clone_without_the_commit_is_refused(clones):
    with pytest.raises(
        ValueError,
        match=r"^git .*0{40}:loss\.py failed .*full clones with --clones, or delete this one$",
    ):
        clones.take("owner/lost", "loss.py", "doubled")


def test_another_commit_of_a_repository_is_read(clones):
    later = clones.at("owner/name", _git(clones.folder / "owner" / "name", "rev-parse", "HEAD"))
    with pytest.raises(ValueError, match="defines 'doubled' 0 times"):
        later.take("owner/name", "loss.py", "doubled")
    assert clones.take("owner/name", "loss.py", "doubled")["doubled"](torch.ones(1)).item() == 2


def test_references_are_whole_commits(references):
    assert all(
        len(bytes.fromhex(reference.commit)) == 20 for reference in references.REFERENCES.values()
    )


def test_every_reference_is_read_by_a_check_and_stands_in_the_table(references):
    written = "".join(
        path.read_text()
        for path in (ROOT / "scripts" / "parity_checks").glob("*.py")
        if path.stem != "references"
    )
    table = (ROOT / "docs" / "parity.md").read_text()
    for name, reference in references.REFERENCES.items():
        assert f'"{name}"' in written
        assert f"{name}@{reference.commit[:10]}" in table
    assert "DIFFERS" not in table


def test_a_difference_is_relative_above_one_and_infinite_where_it_is_no_number(cases):
    assert cases.apart([1.0, 0.25], [1.0, 0.5]) == 0.25
    assert cases.apart([4.0, 0.0], [5.0, 0.0]) == 0.25
    assert cases.apart(torch.tensor([True, False]), torch.tensor([True, True])) == 1
    assert cases.apart([math.nan], [math.nan]) == math.inf
    assert cases.apart([], []) == 0
    with pytest.raises(ValueError, match=r"theirs has shape \(1,\), ours \(\)"):
        cases.apart([1.0], 1.0)


def test_gradients_are_compared_where_values_are_the_same(cases):
    x = torch.tensor([1.0, 2.0], dtype=torch.float64)
    assert cases.both(lambda v: v.square(), lambda v: v * v, x) == 0
    assert cases.both(lambda v: v.square(), lambda v: v * v.detach(), x) == 0.5  # (4 - 2) / 4


def _checks(rows: ModuleType, **gaps: float) -> dict[str, object]:
    return {
        name: lambda _, gap=gap: iter([rows.Row("ours", "theirs", "it", gap, 1e-6)])
        for name, gap in gaps.items()
    }


@pytest.mark.parametrize(
    ("gap", "status", "verdict"),
    [(1e-6, 0, "ok"), (1.1e-6, 1, "DIFFERS"), (math.inf, 1, "DIFFERS")],
)
def test_the_command_fails_where_a_row_differs(command, monkeypatch, capsys, gap, status, verdict):
    monkeypatch.setattr(
        command, "CHECKS", _checks(import_module("parity_checks.rows"), fine=0.0, doubtful=gap)
    )
    assert command.main(["doubtful"]) == status
    line, summary = capsys.readouterr().out.splitlines()
    assert line == f"ours | theirs | it | {gap:.1e} | 1e-06 | {verdict}"
    assert summary == f"1 comparisons of 1 checks: {status} differ, 0 checks could not run"
    assert command.main(["--markdown"]) == status
    assert (
        capsys.readouterr().out.splitlines()[2] == "| ours | theirs | it | 0.0e+00 | 1e-06 | ok |"
    )
    assert torch.get_default_dtype() == torch.float32


def test_a_check_that_cannot_run_fails_in_one_line_and_stops_no_other(command, monkeypatch, capsys):
    def broken(clones):
        raise ValueError("loss.py defines 'x' 0 times")
        yield

    fine = _checks(import_module("parity_checks.rows"), fine=0.0)
    monkeypatch.setattr(command, "CHECKS", {"broken": broken} | fine)
    assert command.main([]) == 1
    said = capsys.readouterr()
    assert said.err == "broken: ValueError: loss.py defines 'x' 0 times\n"
    assert (
        said.out.splitlines()[-1] == "1 comparisons of 2 checks: 0 differ, 1 checks could not run"
    )


def test_a_name_that_no_check_has_is_refused(command, capsys):
    with pytest.raises(SystemExit):
        command.main(["nothing"])
    assert "unknown checks nothing; valid: group_dro, " in capsys.readouterr().err


def test_files_and_functions_are_short():
    for path in (ROOT / "scripts" / "parity_checks").glob("*.py"):
        text = path.read_text()
        assert sum(1 for line in text.splitlines() if line.strip()) <= 200, path
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef):
                body = node.body[1:] if ast.get_docstring(node) else node.body
                assert not body or node.end_lineno - body[0].lineno < 30, f"{path}: {node.name}"
