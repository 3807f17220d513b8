"""report.json: what is written is what is read, and a run that is not there or not done says so."""

import math
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch

from debias import __version__
from debias.errors import InputError
from debias.json_files import plain
from debias.reports.environment import git_state, peak_memory_mb, versions
from debias.reports.record import read_report
from debias.reports.run_folder import write_report
from tests.reports.sample_runs import finished_run, sample_report, started_run, typed_report


def test_report_comes_back_as_it_was(tmp_path: Path) -> None:
    report = sample_report()
    write_report(tmp_path / "run", report)
    found = read_report(tmp_path / "run").entries
    # and the defaults of what the run did not know
    assert found["config"].items() >= report["config"].items()
    assert found | {"config": report["config"]} == report
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == [
        "report.html",
        "report.json",
    ]


def test_undefined_numbers_become_null(tmp_path: Path) -> None:
    write_report(tmp_path, sample_report(accuracies=(0.9, None, 0.5, 0.8)))
    text = (tmp_path / "report.json").read_text()
    assert "NaN" not in text
    test = read_report(tmp_path).test
    assert asdict(test.groups[1]) == {
        "name": "landbird-water",
        "accuracy": None,
        "count": 0,
        "low": 0.0,
        "high": 1.0,
    }
    assert test.scalars["accuracy/landbird-water"] is None


def test_plain_turns_tensors_arrays_and_paths_into_json() -> None:
    value = {
        1: torch.tensor([1.5, math.nan]),
        "a": (np.float32(0.5), np.int64(3), Path("a/b"), True, None),
        "b": [math.inf, torch.tensor(2)],
    }
    assert plain(value) == {"1": [1.5, None], "a": [0.5, 3, "a/b", True, None], "b": [None, 2]}


def test_plain_refuses_what_json_cannot_hold() -> None:
    with pytest.raises(ValueError, match="of type complex"):
        plain({"a": 1j})


def test_refused_report_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match='a report must have "schema": 1; got 2'):
        write_report(tmp_path / "run", sample_report() | {"schema": 2})
    assert not (tmp_path / "run").exists()


def test_a_run_whose_page_could_not_be_written_is_not_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """report.json comes last, since it marks the run as finished."""
    written: list[str] = []
    monkeypatch.setattr(
        "debias.reports.run_folder.write_atomically", lambda path, text: written.append(path.name)
    )
    write_report(tmp_path, sample_report())
    assert written == ["report.html", "report.json"]


def test_no_such_run(tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match=r"gone does not exist: give the folder that `debias train` printed"
    ):
        read_report(tmp_path / "gone")
    with pytest.raises(
        ValueError, match=r"is not a run folder \(no report\.json, no config\.yaml\)"
    ):
        read_report(tmp_path)


def test_unfinished_run_names_the_remedy(tmp_path: Path) -> None:
    run = started_run(tmp_path / "run")
    with pytest.raises(ValueError, match="has not finished") as error:
        read_report(run)
    assert f"`debias train {run}/config.yaml resume={run}`" in str(error.value)


@pytest.mark.parametrize(
    ("text", "message"), [("{", "not valid JSON"), ("[]", "holds a list"), ('{"schema": 9}', "9")]
)
def test_unreadable_report(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "report.json").write_text(text)
    with pytest.raises(ValueError, match=message):
        read_report(tmp_path)


@pytest.mark.parametrize(
    ("section", "name"), [("data", "counts"), ("selection", "rule"), ("seconds", "total")]
)
def test_a_record_without_an_entry_names_it(tmp_path: Path, section: str, name: str) -> None:
    report = sample_report()
    del report[section][name]
    finished_run(tmp_path / "run", report)
    fault = f"report.json lacks the entry {section}.{name}, or holds another type there: restore it"
    with pytest.raises(InputError, match=fault):
        read_report(tmp_path / "run")


def test_damaged_metrics_are_refused_when_they_are_read(tmp_path: Path) -> None:
    """`debias evaluate` reads such a run, and writes its metrics again."""
    report = sample_report()
    report["metrics"]["test"]["scalars"] = None
    found = read_report(finished_run(tmp_path / "run", report))
    assert found.val.worst is not None
    with pytest.raises(InputError, match="has no test metrics: write them with `debias evaluate"):
        _ = found.test


def test_entries_of_a_later_version_stay_in_the_record(tmp_path: Path) -> None:
    run = finished_run(tmp_path / "run", sample_report() | {"weather": {"rain": True}})
    assert read_report(run).entries["weather"] == {"rain": True}


def test_groups_of_a_report_are_those_it_was_made_with() -> None:
    groups = typed_report(sample_report()).groups
    assert groups.names == ("landbird-land", "landbird-water", "waterbird-land", "waterbird-water")
    assert (groups.aligned, groups.multi_label) == (((0, 0), (1, 1)), False)


def test_versions_name_this_package_and_torch() -> None:
    found = versions()
    assert found["debias"] == __version__
    assert found["python"] == sys.version.split()[0]
    # the metadata of PyTorch for CUDA do not name the build
    assert found["torch"] in (torch.__version__, torch.__version__.partition("+")[0])


def test_git_state_of_a_checkout(tmp_path: Path) -> None:
    """Clean after a commit; an untracked file changes nothing; an edit does; what is installed
    below it is no part.
    """

    def git(*arguments: str) -> str:
        identity = ["-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "commit.gpgsign=false"]
        done = subprocess.run(
            ["git", *identity, *arguments], cwd=tmp_path, capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    package, installed = tmp_path / "debias", tmp_path / ".venv" / "debias"
    for folder in (package, installed):
        folder.mkdir(parents=True)
        (folder / "__init__.py").write_text("1")
    git("init", "-q")
    assert git_state(package) == {"commit": None, "dirty": None}
    git("add", "debias")
    git("commit", "-q", "-m", "a")
    (tmp_path / "new").write_text("1")
    assert git_state(package) == {"commit": git("rev-parse", "HEAD"), "dirty": False}
    assert git_state(installed) == {"commit": None, "dirty": None}
    (package / "__init__.py").write_text("2")
    assert git_state(package)["dirty"] is True


def test_git_state_outside_git_is_null(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    nothing = {"commit": None, "dirty": None}
    assert git_state(tmp_path) == nothing
    assert git_state(tmp_path / "gone") == nothing
    monkeypatch.setenv("PATH", "")
    assert git_state(tmp_path) == nothing


def test_peak_memory_holds_what_was_allocated() -> None:
    """The peak is at least the 64 MB just touched, and less than any machine's address space."""
    block = np.ones(64 * 2**20, dtype=np.uint8)
    peak = peak_memory_mb()
    assert block[-1] == 1
    assert peak is not None
    assert 64 <= peak < 2**20


def test_tables_of_runs_need_no_torch(tmp_path: Path) -> None:
    """The table of methods, and the report of a sweep, which compares predictions."""
    run = tmp_path / "run"
    for name in ("run", "other"):
        write_report(tmp_path / name, sample_report(strategy="erm" if name == "run" else "irm"))
        (tmp_path / name / "predictions").mkdir()
        (tmp_path / name / "predictions" / "test.csv").write_text(
            "index,path,target,bias,prediction,logit_a,logit_b\n0,0.jpg,0,0,0,1,0\n"
        )
    (tmp_path / "plan.json").write_text(
        '[{"name": "run", "settings": "erm seed=0"}, {"name": "other", "settings": "irm seed=0"}]'
    )
    code = (
        "import sys; from pathlib import Path; from debias.reports.comparison import compare; "
        "from debias.__main__ import main; "
        f"main(['sweep', 'report', {str(tmp_path)!r}]); "
        f"print(compare([Path({str(run)!r})]).table()); "
        "print(sorted({'torch', 'matplotlib', 'jinja2', 'cv2'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
    assert "71.2 ± -" in done.stdout
    assert "| +0.0 | [+0.0, +0.0] | 1.0000 | no |" in done.stdout
