"""Templates of paths: fields, fields that repeat, digits, alternatives, and mistakes."""

import pytest

from debias.data.trees.templates import filled, read_template
from debias.errors import InputError


@pytest.mark.parametrize(
    ("text", "path", "cells"),
    [
        ("{split}/{target}/*", "train/cat/1.jpg", {"split": "train", "target": "cat"}),
        ("{split}/{target}/*", "train/cat/x/1.jpg", None),
        ("{split}/{target}/*", "train/1.jpg", None),
        ("{split}/*.png", "a/1.jpg", None),
        # both places must agree
        ("{target}/{target}({bias})/*", "cat/cat(indoor)/1", {"target": "cat", "bias": "indoor"}),
        ("{target}/{target}({bias})/*", "cat/dog(indoor)/1", None),
        ("{_}/{_}/{id}.jpg", "a/b/7.jpg", {"id": "7"}),
        # the first separator counts
        ("{target}_{id}.jpg", "climbing_1_2.jpg", {"target": "climbing", "id": "1_2"}),
        (
            "{target}{_:number}-{bias}{_:number}.png",
            "bear10-cat3.png",
            {"target": "bear", "bias": "cat"},
        ),
        ("{side:align|conflict}/{target}/*", "conflict/0/1", {"side": "conflict", "target": "0"}),
        ("{side:align|conflict}/{target}/*", "valid/0/1", None),
        # other characters are literal
        ("bg-0.95/{bias}.jpg", "bg-0x95/a.jpg", None),
        ("{bias}+(1)/*", "a+(1)/b", {"bias": "a"}),
    ],
)
def test_a_template_matches_a_whole_path(text, path, cells):
    found = read_template(text).matcher.fullmatch(path)
    assert (found and found.groupdict()) == cells


def test_fields_and_folders():
    template = read_template("data/{target:a|b}/{target}({bias})/*")
    assert template.fields == ("target", "bias")
    for folders in ([], ["data"], ["data", "b"], ["data", "b", "x(y)"]):
        assert template.leads_to(folders)
    for folders in (["date"], ["data", "c"], ["data", "b", "x"], ["data", "b", "x(y)", "z"]):
        assert not template.leads_to(folders)


@pytest.mark.parametrize(
    "text",
    ["{split}/{target}/*", "{target}_{id}.jpg", "{_}/{target}/{target}({bias})/*.jpg"],
)
def test_a_filled_template_matches_itself(text):
    cells = {"split": "val", "target": "cat", "bias": "indoor"}
    template = read_template(text)
    found = template.matcher.fullmatch(filled(text, cells, 3))
    expected = {name: cells[name] for name in template.fields if name in cells}
    assert found.groupdict().items() >= expected.items()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{split/*", "has a single {"),
        ("split}/*", "has a single }"),
        ("{path}/*", "has the field {path}"),
        ("{1st}/*", "has the field {1st}"),
        ("/data/{target}/*", "must be the path of an image below root"),
        ("{target}/../*", "must be the path of an image below root"),
        ("", "must be the path of an image below root"),
    ],
)
def test_mistakes(text, message):
    with pytest.raises(InputError, match=message):
        read_template(text)
