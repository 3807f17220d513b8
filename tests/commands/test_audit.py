"""``debias audit``: its sources, its files, its words, and its errors before any work."""

import json
import re
from dataclasses import fields, replace
from pathlib import Path
from typing import Optional

import numpy as np
import pytest

import debias
from debias import config as configs
from debias.__main__ import main
from debias.audits.audit import AuditOptions, _check_folder, audit_examples
from debias.audits.cues import ladder
from debias.commands import audit as command
from debias.commands.help_texts import AUDIT
from debias.errors import InputError
from tests.audits.made_models import made_run, object_reader
from tests.audits.made_pictures import write_tree


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    return write_tree(tmp_path_factory.mktemp("audit") / "pets", seed=0, each=20)


@pytest.fixture(scope="module")
def folder(tree, tmp_path_factory):
    """The folder of two audits of the tree, of which the second one is fast."""
    return tmp_path_factory.mktemp("audited")


def test_a_tree_of_classes_has_a_page_a_record_and_lines(tree, folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    assert main(["audit", str(tree)]) == 0
    printed = capsys.readouterr()
    lines = printed.out.splitlines()
    assert lines[0] == "audit/audit.html"
    assert lines[-1].startswith("not looked at: ")
    assert len(lines) <= 12
    assert "audit of all 40 images" in printed.err
    record = json.loads((folder / "audit/audit.json").read_text())
    assert record["images"] == {"train": [18, 18], "val": [2, 2], "test": [0, 0]}
    assert record["settings"] == {
        **{each.name: each.default for each in fields(AuditOptions) if each.name != "out"},
        "seed": 0,
    }
    page = (folder / "audit/audit.html").read_text()
    assert len(page) < 8_000_000
    for text in (printed.out, page.rpartition("</style>")[2]):
        assert not re.search(r"\b(biased|fair)\b", text)
    assert not (folder / "audit/steps/pictures").exists()


def killed_in_a_probe(monkeypatch, source, options) -> dict[Path, int]:
    """Stop an audit as by kill -9 (its files appear whole, so that nothing is cleaned up).

    Returns:
        The kept steps, with the time at which each was written.
    """
    fitted = ladder.cross_fitted

    def stopped(numbers, *rest, **given):
        if numbers.shape[1] == 441:  # hog
            raise KeyboardInterrupt
        return fitted(numbers, *rest, **given)

    with monkeypatch.context() as patch:
        patch.setattr(ladder, "cross_fitted", stopped)
        with pytest.raises(KeyboardInterrupt):
            debias.audit(source, options)
    return written(options["out"])


def written(out: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in out.glob("steps/*.npz")}


def test_a_second_audit_and_a_killed_one_of_a_table_say_the_same(
    tree, folder, tmp_path, monkeypatch
):
    """The table has the rows in another order, no split and no bias."""
    report = debias.audit(tree, {"out": folder / "audit"})
    first = json.loads((folder / "audit/audit.json").read_text())
    debias.audit(tree, {"out": folder / "audit"})
    again = json.loads((folder / "audit/audit.json").read_text())
    assert again == first  # the times too: they are those of the kept steps
    paths = sorted(path.relative_to(tree).as_posix() for path in tree.glob("*/*"))
    mixed = np.random.default_rng(0).permutation(paths)
    table = "".join(f"{path},{path.split('/')[0]}\n" for path in mixed)
    (tmp_path / "pets.csv").write_text("file,species\n" + table)
    options = {"path": "file", "target": "species", "root": tree, "out": tmp_path / "b"}
    kept = killed_in_a_probe(monkeypatch, tmp_path / "pets.csv", options)
    assert len(kept) > 5
    listed = debias.audit(tmp_path / "pets.csv", options)
    assert kept.items() <= written(tmp_path / "b").items()  # no step is computed twice
    assert listed.lines == report.lines
    second = json.loads((tmp_path / "b/audit.json").read_text())
    differing = {key for key in first if first[key] != second[key]}
    assert differing <= {"data", "source", "seconds"}


def test_images_per_split_are_drawn_and_said(tree, tmp_path, capsys):
    assert main(["audit", str(tree), "images=10", f"out={tmp_path}", "checks=headers"]) == 0
    said = "audit of 14 of 40 images: at most 10 per split, classes taking turns, seed 0"
    assert said in capsys.readouterr().err
    record = json.loads((tmp_path / "audit.json").read_text())
    assert record["images"] == {"train": [5, 5], "val": [2, 2], "test": [0, 0]}


def test_an_audit_beside_own_files_is_refused_and_removes_only_its_own(tree, tmp_path, capsys):
    own = tmp_path / "groups.csv"
    own.write_text("mine")
    assert main(["audit", str(tree), f"out={tmp_path}", "checks=headers"]) == 2
    assert "holds files that no audit wrote: give a new folder" in capsys.readouterr().err
    assert own.read_text() == "mine"
    kept = tmp_path / "steps/pictures/mine.npy"
    kept.parent.mkdir(parents=True)
    kept.write_text("mine")
    assert main(["audit", str(tree), f"out={tmp_path}", "checks=headers"]) == 0
    assert [path.name for path in kept.parent.iterdir()] == ["mine.npy"]


def test_files_of_an_earlier_audit_do_not_stay_beside_a_new_one(tree, tmp_path, capsys):
    given = ["audit", str(tree), f"out={tmp_path}", "checks=headers"]
    assert main(given) == 0
    (tmp_path / "groups").mkdir()
    earlier = ("groups.csv", "groups/hog.csv", "suspects.csv", "slices.csv", "associations.csv")
    for name in (*earlier, "duplicates.csv", "mine.csv"):
        (tmp_path / name).write_text("earlier")
    kept = written(tmp_path)
    assert main(given) == 0
    assert [path.name for path in tmp_path.rglob("*.csv")] == ["mine.csv"]
    assert written(tmp_path) == kept


def test_the_folder_of_an_audit_of_other_data_is_refused(tree, tmp_path, capsys):
    out = tmp_path / "audit"
    assert main(["audit", str(tree), f"out={out}", "checks=headers"]) == 0
    (out / "groups.csv").write_text("of pets")
    rows = [path.relative_to(tree) for path in sorted(tree.glob("*/*.png"))]
    table = tmp_path / "birds.csv"
    table.write_text("path,target\n" + "".join(f"{path},{path.parts[0]}\n" for path in rows))
    assert main(["audit", str(table), f"out={out}", f"root={tree}"]) == 2
    said = f"out={out} holds the audit of pets, not of birds.csv: remove out={out}, or give a new"
    assert said in capsys.readouterr().err
    assert (out / "groups.csv").read_text() == "of pets"


def test_a_table_of_the_same_name_in_another_folder_is_other_data(tmp_path):
    """If the earlier table is gone, it was moved, and is audited again."""
    out, earlier, given = (tmp_path / name for name in ("audit", "a/pets.csv", "b/pets.csv"))
    for table in (earlier, given):
        table.parent.mkdir()
        table.write_text("")
    (out / "steps").mkdir(parents=True)
    (out / "audit.json").write_text(json.dumps({"data": "pets.csv", "source": str(earlier)}))
    _check_folder(out, "pets.csv", earlier)
    with pytest.raises(InputError, match=f"holds the audit of {earlier}, not of {given}: remove"):
        _check_folder(out, "pets.csv", given)
    earlier.unlink()
    _check_folder(out, "pets.csv", given)


def test_the_audit_of_a_renamed_run_is_done_again(tmp_path):
    """Its folder is in that of the run, so it cannot be the audit of other data."""
    out = tmp_path / "renamed" / "audit"
    (out / "steps").mkdir(parents=True)
    (out / "audit.json").write_text('{"data": "run"}')
    with pytest.raises(InputError, match="holds the audit of run, not of renamed"):
        _check_folder(out, "renamed", tmp_path)
    (out.parent / "report.json").write_text("{}")
    _check_folder(out, "renamed", tmp_path)
    _check_folder(out, "../renamed", tmp_path)


def test_the_current_folder_has_its_own_name(tmp_path, monkeypatch):
    configs.save(configs.load("drawn_birds"), tmp_path / "config.yaml")
    monkeypatch.chdir(tmp_path)
    assert command._source(".", []).name == tmp_path.name


def test_classes_that_are_numbers_are_no_splits(tree):
    for number, folder in enumerate(sorted(tree.iterdir())):
        folder.rename(tree / str(number))
    assert command._tree(tree, [])["name"] == "pattern"


def test_a_model_of_other_classes_is_refused(tmp_path):
    audited = made_run(object_reader())
    groups = replace(audited.examples.groups, target_names=("dog", "cat"))
    examples = replace(audited.examples, groups=groups)
    given = {"name": "pets", "out": tmp_path, "model": audited.model, "tell": print}
    said = "the model has the classes cat, dog, and made.csv has dog, cat"
    with pytest.raises(InputError, match=said):
        audit_examples(examples, AuditOptions(), **given)


def test_wrong_weights_of_an_encoder_are_told_before_the_work(tree, tmp_path, capsys):
    weights = tmp_path / "weights.txt"
    weights.write_text("")
    options = [f"out={tmp_path / 'out'}", "encoder=resnet18", f"encoder_weights={weights}"]
    assert main(["audit", str(tree), *options]) == 2
    said = capsys.readouterr().err
    assert "expected .safetensors, .pt or .pth" in said
    assert "audit: " not in said


#: A value of each type that is no default.
OTHER = {bool: True, int: 7, str: "resnet18", Optional[str]: "given"}  # noqa: UP045


def test_every_option_is_one_of_the_command_of_python_of_the_help_and_of_the_page(
    tree, monkeypatch, capsys
):
    """An option of AuditOptions needs no further line to be reachable; the texts name it too."""
    seen: list[AuditOptions] = []
    monkeypatch.setattr(AuditOptions, "check", lambda options: None)
    monkeypatch.setattr(command, "audit_examples", lambda _, options, **rest: seen.append(options))
    monkeypatch.setattr(command, "printed_lines", lambda report, page: [])
    kept: list[bool] = []
    monkeypatch.setattr(command, "keep_freed_memory", lambda: kept.append(True))
    values = {each.name: OTHER[each.type] for each in fields(AuditOptions)}
    texts = [f"{key}={str(value).lower()}" for key, value in values.items()]
    assert main(["audit", str(tree), *texts]) == 0
    debias.audit(tree, values)
    assert seen == [AuditOptions(**values)] * 2
    debias.audit(tree)
    assert kept == [True] * 2  # with a network alone
    page = (Path(__file__).parents[2] / "docs/audit.md").read_text()
    for name in values:
        assert f"\n  {name}=" in AUDIT
        assert f"\n| `{name}` |" in page
    named = set(re.findall(r"^  (\w+)=", AUDIT, re.MULTILINE))
    assert named == set(values)
