"""Inferred groups: written, read back, and put in place of the labels of some splits only."""

from __future__ import annotations

import pytest
import torch

from debias.data.inferred import seen_labels, write_inferred
from tests.fakes import birds


def inferred_of(examples):
    """0, 1, 2, 0, 1, 2, ... by row."""
    return torch.arange(len(examples)) % 3


def test_the_file_is_for_people(tmp_path):
    """A line per image with an inferred value, beside its split, its target and what is known of the bias."""
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
    seen = seen_labels(examples, tmp_path / "groups.csv", ["train"])
    train, val, test = (examples.rows(split) for split in ("train", "val", "test"))
    assert seen.train.groups.bias_names == ("0", "1", "2")
    assert torch.equal(seen.train.bias[train], train % 3)
    assert seen.train.bias[torch.cat([val, test])].eq(-1).all()
    assert seen.val is examples
    assert seen.examples is examples
    assert torch.equal(seen.batches.bias[train], train % 3)
    rest = torch.cat([val, test])
    assert torch.equal(seen.batches.bias[rest], examples.bias[rest])


def test_validation_too(tmp_path):
    examples = birds(tmp_path, train=12, val=8, test=8)
    write_inferred(tmp_path / "groups.csv", examples, inferred_of(examples))
    seen = seen_labels(examples, tmp_path / "groups.csv", ["val"])
    val = examples.rows("val")
    assert seen.train is examples
    assert seen.val.groups.count == 6
    counts = torch.bincount(3 * examples.target[val] + val % 3, minlength=6)
    assert torch.equal(seen.val.frequencies("val"), counts)


def test_no_file_changes_nothing(tmp_path):
    examples = birds(tmp_path, train=4, val=4, test=4)
    seen = seen_labels(examples, None, ["train"])
    assert seen.train is examples
    assert torch.equal(seen.batches.bias, examples.bias)


def test_what_is_refused(tmp_path):
    examples = birds(tmp_path, train=4, val=4, test=4)
    path = tmp_path / "groups.csv"
    with pytest.raises(ValueError, match="does not exist: make it with"):
        seen_labels(examples, path, ["train"])
    path.write_text("path,group\n")
    with pytest.raises(ValueError, match="no column inferred"):
        seen_labels(examples, path, ["train"])
    write_inferred(path, examples, torch.where(examples.split == 0, 0, -1))
    with pytest.raises(ValueError, match="no line for 4 of the 4 images of val"):
        seen_labels(examples, path, ["val"])
    for splits in ([], ["test"], ["train", "test"]):
        with pytest.raises(ValueError, match="keeps its own"):
            seen_labels(examples, path, splits)
