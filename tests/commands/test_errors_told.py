"""Which errors the command line prints as one line, and that any other keeps its traceback."""

import errno
import json
import os
import shutil
import sys
import warnings

import pytest
from torch._utils import ExceptionWrapper

from debias.__main__ import main
from debias.errors import LONGEST, InputError, told
from tests.commands.bad_inputs.case import TABLE, lay_out, make_world


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return make_world(tmp_path_factory.mktemp("world"))


@pytest.fixture
def here(world, tmp_path, monkeypatch):
    lay_out(world, tmp_path / "here", {})
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


def refused(capsys, command: str) -> str:
    """The line of a command that is refused."""
    assert main(command.split()) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("debias: ")]
    return line


@pytest.mark.parametrize(
    "error",
    [
        ValueError("Expected more than 1 value per channel"),
        FileNotFoundError(2, "No such file", "x"),
        KeyError("x"),
    ],
)
def test_an_error_of_a_library_keeps_its_traceback(error, monkeypatch):
    def fail(**options):
        raise error

    monkeypatch.setattr("debias.commands.list.run", fail)
    with pytest.raises(type(error)):
        main(["list", "metrics"])


def test_an_error_of_a_loader_process_is_its_message_alone():
    """torch raises it again in the main process, behind the traceback."""
    try:
        raise InputError("picture a.jpg is damaged: copy it again")
    except InputError:
        wrapped = ExceptionWrapper(where="in DataLoader worker process 0")
    with pytest.raises(InputError, match="Original Traceback") as caught:
        wrapped.reraise()
    assert told(caught.value) == "picture a.jpg is damaged: copy it again"


@pytest.mark.filterwarnings("always")
def test_a_warning_is_one_line_without_the_line_of_code_that_gave_it(monkeypatch, capsys):
    """Lightning formats warnings in its own way when a command imports it."""

    def warn(what: str, pattern: str) -> None:
        monkeypatch.setattr(warnings, "formatwarning", lambda *_: "another form")
        warnings.warn("no bias\nlabels", stacklevel=1)

    monkeypatch.setattr("debias.commands.list.run", warn)
    assert main(["list", "configs"]) == 0
    assert capsys.readouterr() == ("", "debias: warning: no bias\\nlabels\n")


def test_a_long_message_of_many_lines_is_one_line():
    assert told(InputError("a\x1b[31mb\nc")) == r"a\x1b[31mb\nc"
    line = told(InputError("x" * 5000))
    assert line is not None
    assert len(line) == LONGEST - 1
    assert " ... " in line


def test_a_full_disk_is_one_line(here, monkeypatch, capsys):
    """The first file of a run that is to be moved to its place finds no room."""
    replace = os.replace

    def full(source, target, **options):
        if "runs" in str(target):
            raise OSError(errno.ENOSPC, "No space left on device", str(source), None, str(target))
        return replace(source, target, **options)

    monkeypatch.setattr(os, "replace", full)
    line = refused(capsys, "train own.yaml out=runs")
    assert line.startswith("debias: runs/")
    remedy = "give another place (out=, cache_dir=), or make room and set permissions there"
    assert line.endswith(f"No space left on device; {remedy}")


def test_a_link_in_place_of_the_lock_of_a_cache(here, capsys):
    (here / "store").mkdir()
    (here / "store" / "building.lock").symlink_to(here / "elsewhere")
    line = refused(capsys, "check own.yaml cache=true cache_dir=store")
    assert line == (
        "debias: store/building.lock is a link, but a lock must be a file: remove the link"
    )
    assert not (here / "elsewhere").exists()


def test_a_search_without_optuna_names_what_to_install(here, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "optuna", None)
    for name in [name for name in sys.modules if name.startswith("debias.sweeps.search")]:
        monkeypatch.delitem(sys.modules, name)
    line = refused(capsys, "sweep search search.yaml")
    assert line.startswith("debias: debias sweep search needs Optuna")
    assert line.endswith("pip install 'debias-vision[search]'")


def test_grad_cam_without_captum_names_what_to_install(here, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "captum.attr", None)
    line = refused(capsys, "masks gradcam run out=m")
    assert line.endswith('pip install "debias-vision[attribution]"')


def test_one_bad_report_does_not_stop_a_table(here, capsys):
    """Three broken copies of a run are told below the table, and name their files."""
    for name, text in (("a", "{"), ("b", '{"schema": 1}'), ("c", None)):
        shutil.copytree(here / "run", here / "many" / name)
        report = json.loads((here / "run" / "report.json").read_text()) | {"metrics": {}}
        (here / "many" / name / "report.json").write_text(
            json.dumps(report) if text is None else text
        )
    shutil.copytree(here / "run", here / "many" / "whole")
    plan = [
        {"name": name, "settings": f"own.yaml seed={name}"} for name in ("a", "b", "c", "whole")
    ]
    (here / "many" / "plan.json").write_text(json.dumps(plan))
    for command in ("compare many", "sweep report many"):
        assert main(command.split()) == 0
        printed = capsys.readouterr().out
        assert "erm" in printed
        for name in ("a", "b", "c"):
            assert f"many/{name}/report.json" in printed


def test_broken_predictions_do_not_stop_a_table(here, capsys):
    shutil.copytree(here / "run", here / "many" / "a")
    (here / "many" / "plan.json").write_text('[{"name": "a", "settings": "own.yaml seed=0"}]')
    (here / "many" / "a" / "predictions" / "test.csv").write_text("index\n1\n")
    assert main(["sweep", "report", "many"]) == 0
    assert "1 done" in capsys.readouterr().out


def test_a_report_of_somebody_else_cannot_steer_the_terminal(here, capsys):
    report = json.loads((here / "run" / "report.json").read_text())
    report["strategy"]["method"] = report["config"]["strategy"]["name"] = "\x1b]0;title\x07erm"
    (here / "run" / "report.json").unlink()
    (here / "run" / "report.json").write_text(json.dumps(report))
    for command in (["compare", "run"], ["compare", "run", "--markdown"]):
        assert main(command) == 0
        assert "\x1b" not in capsys.readouterr().out


def test_a_file_name_that_is_no_text(here, capsys):
    config = "data: {name: folder, root: tree}\npreprocessing: {name: resize, size: 16}\n"
    config += "model: {name: test_resnet, pretrained: false}\ncache: false\n"
    (here / "tree.yaml").write_text(config)
    for folder in (b"train/cat", b"train/dog", b"val/cat", b"val/dog", b"test/cat", b"test/dog"):
        (here / "tree" / os.fsdecode(folder)).mkdir(parents=True)
        shutil.copy(here / "images" / "0.png", here / "tree" / os.fsdecode(folder + b"/\xff.png"))
    assert "holds a control character" in refused(capsys, "check tree.yaml select=average")


def test_batches_of_one_image_that_batch_normalisation_can_train_on(here):
    """Of 64 pixels the last stage has 2 x 2 places: statistics of four values."""
    assert main(["check", "own.yaml", "batch_size=1", "preprocessing.size=64"]) == 0


def test_a_secret_of_the_environment_is_in_no_file(here, monkeypatch, capsys):
    monkeypatch.setenv("SECRET", "hunter2")
    (here / "secret.yaml").write_text("extends: own.yaml\nname: ${oc.env:SECRET}\n")
    assert "calls a resolver" in refused(capsys, "train secret.yaml out=runs")
    assert not (here / "runs").exists()


def test_a_class_may_be_called_nan_where_it_is_listed(here):
    (here / "table.csv").unlink()
    (here / "table.csv").write_text(TABLE.replace("cat", "nan"))
    assert main(["check", "own.yaml", "data.target_names=[dog,nan]"]) == 0
