"""Partitions: inferred, written, read back, and put in place of the labels of some splits only."""

from dataclasses import replace

import pytest
import torch

from debias.csv_files import UNKNOWN
from debias.data.checks import check_requirements
from debias.data.partition import (
    inferred_partition,
    placeholder_partition,
    read_inferred,
    read_partition,
    seen_by_run,
    write_inferred,
)
from debias.types import ContextPair, Groups
from tests.fakes import birds


def inferred_of(examples):
    """0, 1, 2, 0, 1, 2, ... by row."""
    return torch.arange(len(examples)) % 3


def write_groups(path, examples, values):
    """Any values of the training images, as anybody may write them."""
    rows = examples.rows("train").tolist()
    lines = [f"{examples.images[row]},{value}\n" for row, value in zip(rows, values, strict=True)]
    path.write_text("".join(["path,inferred\n", *lines]))


def test_the_file_is_for_people(tmp_path):
    """A line per image with an inferred value, beside split, target and known bias."""
    examples = birds(tmp_path, train=4, val=4, test=4)
    inferred = inferred_of(examples)
    inferred[1] = -1
    write_inferred(tmp_path / "groups.csv", examples, inferred)
    lines = (tmp_path / "groups.csv").read_text().splitlines()
    known = examples.groups.bias_names[int(examples.bias[0])]
    assert lines[0] == "path,split,target,inferred,bias"
    assert lines[1] == f"{examples.images[0]},train,{int(examples.target[0])},0,{known}"
    assert len(lines) == 1 + 11
    assert examples.images[1] not in "".join(lines)


def test_each_split_sees_its_own_labels(tmp_path):
    """Training reads inferred values, validation and test the true ones; nobody else changes."""
    examples = birds(tmp_path, train=12, val=8, test=8)
    write_inferred(tmp_path / "groups.csv", examples, inferred_of(examples))
    seen = seen_by_run(examples, read_partition(tmp_path / "groups.csv", examples, ["train"]))
    train, val, test = (examples.rows(split) for split in ("train", "val", "test"))
    assert seen.train.groups.bias_names == ("0", "1", "2")
    assert torch.equal(seen.train.bias[train], train % 3)
    assert seen.train.bias[torch.cat([val, test])].eq(-1).all()
    assert seen.val is examples
    assert torch.equal(seen.batches.bias[train], train % 3)
    rest = torch.cat([val, test])
    assert torch.equal(seen.batches.bias[rest], examples.bias[rest])


def test_a_partition_keeps_labels_and_their_contexts(tmp_path):
    examples, path = birds(tmp_path, train=4, val=4, test=4), tmp_path / "groups.csv"
    write_groups(path, examples, [0, 1, 2, 0])
    names, contexts = ("no a", "a", "no b", "b"), (ContextPair(0, 1),)
    groups = Groups(names, ("x",), multi_label=True, contexts=contexts)
    labelled = replace(examples, target=torch.ones(12, 2, dtype=torch.int64), groups=groups)
    seen = seen_by_run(labelled, read_partition(path, labelled, ["train"])).train.groups
    assert (seen.multi_label, seen.contexts) == (True, contexts)


def test_validation_too(tmp_path):
    examples = birds(tmp_path, train=12, val=8, test=8)
    write_inferred(tmp_path / "groups.csv", examples, inferred_of(examples))
    seen = seen_by_run(examples, read_partition(tmp_path / "groups.csv", examples, ["val"]))
    val = examples.rows("val")
    assert seen.train is examples
    assert seen.val.groups.count == 6
    counts = torch.bincount(3 * examples.target[val] + val % 3, minlength=6)
    assert torch.equal(seen.val.frequencies("val"), counts)


@pytest.mark.parametrize("unknown", UNKNOWN)
def test_unknown_values_are_no_groups(tmp_path, unknown):
    """As in a table's bias column; where no value is known, there is no name of any."""
    examples = birds(tmp_path, train=4, val=4, test=4)
    path = tmp_path / "groups.csv"
    write_groups(path, examples, ["male", unknown, "female", "male"])
    seen = seen_by_run(examples, read_partition(path, examples, ["train"])).train
    assert seen.groups.bias_names == ("male", "female")
    assert seen.bias[examples.rows("train")].tolist() == [0, -1, 1, 0]
    with pytest.raises(
        ValueError, match=r"groups\.csv cannot be used: 1 training images have no bias attribute"
    ):
        check_requirements(seen, ("bias",))
    write_groups(path, examples, [unknown] * 4)
    seen = seen_by_run(examples, read_partition(path, examples, ["train"])).train
    assert seen.groups.bias_names == ("unknown",)
    assert seen.bias.eq(-1).all()


def test_the_value_named_1_is_chosen(tmp_path):
    """Not the second of the values 1 and 2; and no sample where values have other names."""
    examples = birds(tmp_path, train=4, val=4, test=4)
    for values, chosen in (
        ([1, 2, 2, 1], [True, False, False, True]),
        (["no", "yes", "", "no"], [False] * 4),
    ):
        write_groups(tmp_path / "groups.csv", examples, values)
        partition = read_partition(tmp_path / "groups.csv", examples, ["train"])
        assert partition.chosen[examples.rows("train")].tolist() == chosen
        assert not partition.chosen[examples.rows("val")].any()


@pytest.mark.parametrize("offset", [0, 1, 9])
def test_a_partition_in_memory_is_what_its_record_says(tmp_path, offset):
    """Values 0, 1, 2 of both splits; 1, 2, 3; and 9, 10, 11, which are no order of texts."""
    examples = birds(tmp_path, train=12, val=8, test=8)
    path, inferred = tmp_path / "groups.csv", inferred_of(examples) + offset
    for part, splits in (
        (inferred, ("train", "val")),
        (inferred.masked_fill(examples.split == 1, -1), ("train",)),
    ):
        write_inferred(path, examples, part)
        partition, found = (
            inferred_partition(part, examples, path),
            read_partition(path, examples, splits),
        )
        assert (partition.names, partition.splits, partition.source) == (found.names, splits, path)
        assert partition.names == tuple(str(offset + value) for value in range(3))
        assert torch.equal(partition.values, found.values)
        assert torch.equal(partition.chosen, found.chosen)
        assert partition.section == {"file": str(path), "splits": list(splits)}


def test_what_was_written_is_read(tmp_path):
    """Images without a line, and those whose value is unknown, have -1."""
    examples = birds(tmp_path, train=4, val=4, test=4)
    inferred = inferred_of(examples)
    inferred[1] = -1
    path = tmp_path / "groups.csv"
    write_inferred(path, examples, inferred)
    path.write_text(path.read_text() + f"{examples.images[1]},train,0,,\n")
    assert torch.equal(read_inferred(path, examples), inferred)


def test_no_file_changes_nothing(tmp_path):
    examples = birds(tmp_path, train=4, val=4, test=4)
    seen = seen_by_run(examples, None)
    assert seen.train is examples
    assert torch.equal(seen.batches.bias, examples.bias)


def test_what_is_refused(tmp_path):
    examples = birds(tmp_path, train=4, val=4, test=4)
    path = tmp_path / "groups.csv"
    for absent in (path, tmp_path):
        with pytest.raises(
            ValueError,
            match=f"groups.file={absent} is not a file: make one with `debias infer-groups`",
        ):
            read_partition(absent, examples, ["train"])
    for text, message in {
        "path,group\n": "groups.csv has no column 'inferred'; valid: group, path",
        "path,inferred\na.png,0\nb.png\n": "groups.csv, line 3: 1 columns, but the header has 2",
        "path,inferred\na.png,0\n,1\n": "groups.csv, line 3: path is '', but must be the path",
        "path,inferred\na.png,0\na.png,1\n": (
            "groups.csv, line 3: path is 'a.png', as on an earlier line: keep one"
        ),
    }.items():
        path.write_text(text)
        with pytest.raises(ValueError, match=message):
            seen_by_run(examples, read_partition(path, examples, ["train"]))
    write_inferred(path, examples, torch.where(examples.split == 0, 0, -1))
    with pytest.raises(ValueError, match="no line for 4 of the 4 images of val"):
        seen_by_run(examples, read_partition(path, examples, ["val"]))
    for splits in ([], ["test"], ["train", "test"]):
        with pytest.raises(ValueError, match="keeps its own bias labels"):
            read_partition(path, examples, splits)


def test_an_unknown_importance_may_be_written_like_an_unknown_value(tmp_path):
    examples, path = birds(tmp_path, train=len(UNKNOWN) + 1, val=4, test=4), tmp_path / "own.csv"
    names = [examples.images[row] for row in examples.rows("train").tolist()]
    cells = [f"{name},0,{cell}" for name, cell in zip(names, (*UNKNOWN, "2.5"), strict=True)]
    path.write_text("\n".join(["path,inferred,importance", *cells]))
    found = read_partition(path, examples, ["train"]).importance[examples.rows("train")]
    assert found[-1] == 2.5
    assert bool(found[:-1].isnan().all())
    path.write_text(path.read_text().replace("2.5", "much"))
    with pytest.raises(ValueError, match=r"importance.*'much', but must be a number"):
        read_partition(path, examples, ["train"])


def test_importance_is_read_as_it_was_written(tmp_path):
    """A file has the column only if a recipe found it. Other splits than those read are unknown."""
    examples, path = birds(tmp_path, train=12, val=8, test=8), tmp_path / "groups.csv"
    importance = torch.rand(28, dtype=torch.float64)
    inferred = torch.zeros(28, dtype=torch.int64)
    write_inferred(path, examples, inferred, importance)
    held = inferred_partition(inferred, examples, path, importance)
    assert torch.equal(held.importance, importance)
    for split in ("train", "val"):
        rows, found = examples.rows(split), read_partition(path, examples, [split]).importance
        assert torch.equal(found[rows], importance[rows])
        assert found.isnan().sum() == 28 - len(rows)
    write_inferred(path, examples, inferred)
    assert "importance" not in path.read_text()
    assert read_partition(path, examples, ["train"]).importance.isnan().all()


def test_a_placeholder_has_every_group_in_its_splits(tmp_path):
    """The images of a class alternate within a split, so that a single one has the value 0."""
    examples = birds(tmp_path, train=4, val=4, test=4)
    target = torch.tensor([0, 1, 1, 0, 1, 1, 1, 0, 0, 0, 0, 0])
    split = torch.tensor([0, 0, 0, 0, 0, 1, 1, 1, 2, 2, 2, 2])
    examples = replace(examples, target=target, split=split)
    partition = placeholder_partition(examples, ("train", "val"))
    assert partition.values.tolist() == [0, 0, 1, 1, 0, 0, 1, 0, -1, -1, -1, -1]
    assert (partition.names, partition.splits) == (("0", "1"), ("train", "val"))
    partition = placeholder_partition(examples, ("train",))
    assert partition.values.tolist() == [0, 0, 1, 1, 0, -1, -1, -1, -1, -1, -1, -1]
    assert partition.splits == ("train",)
