"""``debias data get``: terms, steps by hand, exit codes. Downloads: tests/downloads."""

import json

import pytest

from debias.__main__ import main
from debias.commands.data import check as data_check
from debias.commands.data import get as data_get
from debias.downloads.getting import by_hand
from debias.presets import Preset, Sample, Source
from tests.downloads.server import Served, running

FACTS = {"title": "pets", "target": "cat", "bias": "place", "citation": "Doe 2026"}
UNREACHABLE = Source("https", "http://no-such-host.invalid/pets.zip", "pets.zip", unpack=".")


@pytest.fixture
def pets(monkeypatch):
    monkeypatch.setattr("debias.downloads.http.PAUSE", 0)

    def make(*sources, **facts):
        made = Preset(**FACTS, reader="folder", name="pets", sources=list(sources), **facts)
        monkeypatch.setattr(data_get, "preset", lambda _: made)

    return make


def get(root, *options):
    return main(["data", "get", "pets", f"root={root}", *options])


def test_terms_are_asked_for_once(pets, tmp_path, capsys):
    pets(UNREACHABLE, terms="Research only.", licence="CC BY 4.0", accept=True)
    assert get(tmp_path / "pets") == 2
    out, error = capsys.readouterr()
    assert out == "licence of pets: CC BY 4.0\nterms of pets: Research only.\n"
    assert "then add terms=accepted" in error
    assert not (tmp_path / "pets").exists()
    assert get(tmp_path / "pets", "terms=accepted") == 3
    assert json.loads((tmp_path / "pets" / "pets.receipt.json").read_text())["terms"] is True
    assert get(tmp_path / "pets") == 3
    assert "no network (name not resolved): put pets.zip from" in capsys.readouterr().err


def test_what_was_fetched_is_checked(pets, tmp_path, monkeypatch, capsys):
    checked = []
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(data_check, "run", lambda *given: checked.append(given) or 1)
    with running() as server:
        pets(Source("https", server.serve("a.csv", Served(b"a")), "a.csv"))
        assert get(tmp_path) == 1
    assert (tmp_path / "a.csv").read_bytes() == b"a"
    assert checked == [(str(tmp_path), ["as=pets"])]
    assert f"pets is in {tmp_path}; pets.receipt.json there says" in capsys.readouterr().out


def test_steps_by_hand_end_with_the_check(pets, tmp_path, capsys):
    pets(
        Source("manual", "https://a.b/form", note="ask for access"),
        Source("kaggle", "c/d", "labels.csv"),
        sample=Sample(images=["{split}/{target}/*.jpg"], tables={"labels.csv": {}}),
    )
    assert get(tmp_path) == 3
    assert capsys.readouterr().out.splitlines() == [
        "1. get the files from https://a.b/form (ask for access)",
        "2. get labels.csv from https://www.kaggle.com/datasets/c/d",
        f"3. put the files into {tmp_path}, and unpack archives; debias expects "
        "{split}/{target}/*.jpg, labels.csv there",
        f"4. debias data check {tmp_path} as=pets",
    ]


def test_a_source_of_the_whole_beside_automatic_ones_is_no_step():
    mirror = Source("kaggle", "c/d")
    label = Source("manual", "https://a.b", "labels.csv")
    made = Preset(**FACTS, reader="folder", sources=[UNREACHABLE, mirror, label])
    assert by_hand(made) == [label]


def test_what_has_no_source_or_is_made(pets, tmp_path, capsys):
    pets()
    assert get(tmp_path) == 3
    assert "1. no source is known: get it from its authors (Doe 2026)" in capsys.readouterr().out
    pets(Source("made", "cifar10, mnist"))
    assert get(tmp_path) == 3
    assert capsys.readouterr().out.splitlines() == [
        f"1. debias data get cifar10 root={tmp_path}",
        f"2. debias data get mnist root={tmp_path}",
        f"3. debias data make pets root={tmp_path}",
        f"4. debias data check {tmp_path} as=pets",
    ]


@pytest.mark.parametrize("arguments", [["pets"], ["root=x"], ["pets", "root=x", "seed=1"]])
def test_mistakes(arguments, capsys):
    assert main(["data", "get", *arguments]) == 2
    assert "`debias data get` needs a name and root=PATH" in capsys.readouterr().err


def test_the_terms_of_a_shipped_data_set(tmp_path, capsys):
    assert main(["data", "get", "celeba", f"root={tmp_path}"]) == 2
    out, error = capsys.readouterr()
    assert "terms of celeba: Non-commercial research only." in out
    assert "add terms=accepted" in error
