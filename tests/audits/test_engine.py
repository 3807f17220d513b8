"""Steps of an audit: computed once, kept by what they depend on, and left out with a reason."""

from dataclasses import replace

import numpy as np
import pytest

from debias.audits.engine import STEPS, chosen_steps, find
from debias.audits.lines import AuditLine, Section
from debias.audits.steps import Audited, Step
from tests.data.small_pictures import small_examples


def audited(folder, seed: int = 0) -> Audited:
    examples = small_examples(folder, masks=False)
    rows = np.arange(len(examples))
    pictures = np.zeros((len(rows), 8, 8, 3), np.uint8)
    target, split = examples.target.numpy(), examples.split.numpy()
    names = examples.groups.target_names
    return Audited(examples, rows, target, split, names, pictures, None, seed, None, {})


class Counted:
    """Three steps, and how often each was computed: c needs b, b needs a."""

    def __init__(self, reason: str = "", version: int = 1) -> None:
        self.computed: list[str] = []
        self.steps = (
            self.step("a", ()),
            self.step("b", ("a",), reason=reason, version=version),
            self.step("c", ("b",)),
        )

    def step(self, name: str, needs: tuple[str, ...], reason: str = "", version: int = 1) -> Step:
        def compute(given: Audited):
            self.computed.append(name)
            before = sum(int(given.found[one]["sum"]) for one in needs)
            return {"sum": np.int64(before + 1), "words": np.array(["x", "yy"])}

        def lines(given: Audited):
            return [AuditLine("files", name, "some", str(given.found[name]["sum"]))]

        def write(given: Audited, folder):
            (folder / name).write_text("written")

        return Step(
            name,
            needs,
            compute,
            lines,
            lambda given: Section(name) if name == "c" else None,
            lambda given: reason,
            write,
            version,
        )


def look(folder, steps, speaking=("a", "b", "c"), key: str = "k", seed: int = 0):
    return find(audited(folder, seed), steps, speaking, out=folder, pictures_key=key)


def test_kept_steps_are_not_computed_again(tmp_path):
    first = Counted()
    before = look(tmp_path, first.steps)
    assert first.computed == ["a", "b", "c"]
    assert [line.words for line in before.lines] == ["1", "2", "3"]
    assert [section.title for section in before.sections] == ["c"]
    again = Counted()
    assert look(tmp_path, again.steps) == before
    assert again.computed == []


def test_a_killed_audit_goes_on_after_its_last_step(tmp_path):
    killed = Counted()
    look(tmp_path, killed.steps[:2])
    going_on = Counted()
    assert [line.words for line in look(tmp_path, going_on.steps).lines] == ["1", "2", "3"]
    assert going_on.computed == ["c"]


@pytest.mark.parametrize(("key", "seed"), [("other", 0), ("k", 1)])
def test_other_pictures_or_another_seed_are_computed_anew(tmp_path, key, seed):
    look(tmp_path, Counted().steps)
    other = Counted()
    look(tmp_path, other.steps, key=key, seed=seed)
    assert other.computed == ["a", "b", "c"]


def test_other_units_are_computed_again(tmp_path):
    look(tmp_path, Counted().steps)
    plain = audited(tmp_path)
    names = tuple(str(row // 2) for row in range(len(plain.rows)))
    for units in (names, names[::-1]):
        other = Counted()
        given = replace(plain, examples=replace(plain.examples, units=units))
        find(given, other.steps, ("a",), out=tmp_path, pictures_key="k")
        assert other.computed == ["a", "b", "c"]


def test_a_new_version_changes_the_step_and_those_that_need_it(tmp_path):
    look(tmp_path, Counted().steps)
    newer = Counted(version=2)
    look(tmp_path, newer.steps)
    assert newer.computed == ["b", "c"]


def test_a_step_that_cannot_run_says_why_for_those_that_need_it(tmp_path):
    counted = Counted(reason="no masks")
    found = look(tmp_path, counted.steps)
    assert found.unavailable == {"b": "no masks", "c": "no masks"}
    assert counted.computed == ["a"]


def test_needed_steps_are_computed_and_do_not_speak(tmp_path):
    counted = Counted()
    steps, speaking = chosen_steps(counted.steps, "b")
    assert ([step.name for step in steps], speaking) == (["a", "b"], ("b",))
    found = look(tmp_path, steps, speaking)
    assert [line.name for line in found.lines] == ["b"]
    assert (tmp_path / "b").exists()
    assert not (tmp_path / "a").exists()


def test_an_unknown_check_names_the_nearest():
    with pytest.raises(ValueError, match="did you mean 'headers'"):
        chosen_steps([Counted().step("headers", ())], "header")


def test_kept_arrays_hold_no_pickles(tmp_path):
    def objects(given: Audited):
        return {"what": np.array([{"a": 1}], dtype=object)}

    step = Step("a", (), objects, lambda given: (), lambda given: None)
    with pytest.raises(ValueError, match="allow_pickle=False"):
        look(tmp_path, [step], ("a",))
    assert not list((tmp_path / STEPS).glob("*.npz"))
