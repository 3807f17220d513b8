"""Preset files: all are read, each names a reader and its options, and mistakes are named."""

import pytest

from debias import components, presets
from debias.errors import InputError

WRITTEN = """
title: cats and dogs
target: cat or dog
bias: indoor or outdoor
citation: nobody, 2026
reader: folder
"""


@pytest.mark.parametrize("name", presets.names())
def test_a_preset_has_a_reader_that_knows_its_options(name):
    preset = presets.preset(name)
    assert preset.reader in components.TABLES["data"]
    # a loader of the same name is its own reader
    assert name not in components.TABLES["data"] or (preset.reader, preset.options) == (name, {})
    found = components.component("data", {"name": name, "root": "PATH"})
    assert found.make is components.find("data", preset.reader)
    assert found.options.items() >= {"root": "PATH"}.items()
    assert all(count.images > 0 for count in preset.published)
    totals = {
        (count.mark, count.split): count.images for count in preset.published if not count.name
    }
    for mark in preset.counts:
        parts = [totals.get((mark, split)) for split in ("train", "val", "test")]
        if (mark, "") in totals and None not in parts:
            assert sum(parts) == totals[mark, ""]
    if any(source.at == "nothing" for source in preset.sources):
        assert not preset.counts.keys() & {"C", "P"}  # our own drawings have no other authors


def read(folder, text):
    (folder / "pets.yaml").write_text(WRITTEN + text)
    return presets.read_preset(folder / "pets.yaml")


def test_counts_sources_and_sample(tmp_path):
    pets = read(
        tmp_path,
        "counts: {R: {all: 7, train: {cat-indoor: 3, dog: 4}}, M: {test: 2}}\n"
        "sources: [{kind: hf, at: a/b, file: c.zip, unpack: .}]\n"
        "sample: {fields: {target: [cat, dog]}, images: ['{target}/*.jpg']}\n",
    )
    assert pets.name == "pets"
    assert pets.published == [
        ("", "", 7, "R"),
        ("train", "cat-indoor", 3, "R"),
        ("train", "dog", 4, "R"),
        ("test", "", 2, "M"),
    ]
    assert pets.sources == [presets.Source("hf", "a/b", "c.zip", unpack=".")]
    assert pets.sample == presets.Sample({"target": ["cat", "dog"]}, ["{target}/*.jpg"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("titel: x", r"pets.yaml: unknown key 'titel'; did you mean 'title'"),
        ("sources: [{kind: ftp, at: x}]", "kind of a source must be one of https.*; got 'ftp'"),
        ("sources: [{kind: hf}]", r"sources\[0\].at has no value"),
        ("counts: {X: {all: 3}}", "a mark of counts must be one of C, D, P, R, T, M; got 'X'"),
        ("counts: {R: {dev: 3}}", "a split of counts must be one of all, train.*; got 'dev'"),
        ("rows: abc", "digest sha256:abc must be sha256: and its hexadecimal digits"),
        ("accept: maybe", "accept must be true or false; got 'maybe'"),
    ],
)
def test_mistakes_in_a_preset_are_named(tmp_path, text, message):
    with pytest.raises(InputError, match=message):
        read(tmp_path, text)


def test_the_options_of_the_user_are_laid_over_those_of_the_preset(tmp_path, monkeypatch):
    (tmp_path / "pets.yaml").write_text(WRITTEN + "options: {masks: a, max_pixels: 5}")
    monkeypatch.setattr(presets, "FOLDER", tmp_path)
    monkeypatch.setattr(presets, "names", lambda: ("pets",))
    found = components.component("data", {"name": "pets", "root": "r", "masks": "b"})
    assert found.make is components.find("data", "folder")
    assert (found.options["root"], found.options["masks"]) == ("r", "b")
    assert found.options["max_pixels"] == 5
    with pytest.raises(InputError, match=r"unknown option data\.mask; did you mean 'masks'"):
        components.component("data", {"name": "pets", "root": "r", "mask": "b"})


def test_an_unknown_name_suggests_presets_and_readers():
    with pytest.raises(InputError, match="no data set 'celebaa'; did you mean 'celeba'"):
        presets.preset("celebaa")
    with pytest.raises(InputError, match=r"unknown data.name 'tabel'; did you mean 'table'"):
        components.find("data", "tabel")
