"""Which cue a model follows: models that read one cue, and images that are left out."""

import pytest
import torch

from debias.metrics.shortcuts.cue_preference import cues_of, has_cues, preference_report
from debias.types import Attribute, Groups

#: Place has its values in another order than the classes.
PAIRS = {"colour": ((0, 0), (1, 1), (2, 2)), "place": ((0, 2), (1, 0), (2, 1))}
THREE = Groups.product(
    ("a", "b", "c"), [Attribute(name, ("x", "y", "z"), pairs) for name, pairs in PAIRS.items()]
)


def every_cell() -> tuple[torch.Tensor, torch.Tensor]:
    """Target and bias of each of 27 combinations."""
    cells = torch.cartesian_prod(*[torch.arange(3)] * 3)
    return cells[:, 0], THREE.combine(cells[:, 1:])


def test_the_class_of_each_cue():
    target, bias = torch.tensor([1, 0, 2]), torch.tensor([2, 3, -1])  # (x, z), (y, x)
    cues, names = cues_of(target, bias, THREE)
    assert names == ["target", "colour", "place"]
    assert cues.tolist() == [[1, 0, 0], [0, 1, 1], [2, -1, -1]]


@pytest.mark.parametrize("cue", [0, 1, 2])
def test_a_model_that_reads_one_cue(cue):
    """Of the 24 cells off the diagonal, two cues agree in 18: six for each pair of cues. A model of
    one cue follows each other in 6 of 24.
    """
    target, bias = every_cell()
    cues, names = cues_of(target, bias, THREE)
    found = preference_report(cues[:, cue], target, bias, THREE)
    for number, name in enumerate(names):
        expected = 1.0 if number == cue else 0.25
        for kind in ("cue", "cue_balanced", "cue_cells"):
            assert found[f"{kind}/{name}"] == pytest.approx(expected), (kind, name)
        assert found[f"cue_low/{name}"] < expected <= found[f"cue_high/{name}"]
    assert (found["preferred_cue"], found["chance"]) == (cue, pytest.approx(1 / 3))


@pytest.mark.parametrize(("cues", "values"), [(2, 3), (3, 2), (4, 3)])
def test_a_cue_that_is_not_followed_has_less_than_chance(cues, values):
    """Off the diagonal, another cue agrees with the followed one in the share that the docs give.

    With two cues, it never agrees.
    """
    names = tuple("abc"[:values])
    pairs = tuple((value, value) for value in range(values))
    groups = Groups.product(names, [Attribute(f"cue{n}", names, pairs) for n in range(1, cues)])
    cells = torch.cartesian_prod(*[torch.arange(values)] * cues)
    found = preference_report(cells[:, 0], cells[:, 0], groups.combine(cells[:, 1:]), groups)
    share = (values ** (cues - 2) - 1) / (values ** (cues - 1) - 1)
    other = "cue/bias" if cues == 2 else "cue/cue1"  # a single attribute has no name
    assert found[other] == pytest.approx(share)
    assert found[other] < found["chance"] == pytest.approx(1 / values)


def test_images_of_unknown_bias_are_left_out():
    groups = Groups(("a", "b"), ("x", "y"), ((0, 0), (1, 1)))
    facts = torch.tensor([0, 0, 1, 1]), torch.tensor([0, 0, 0, 1]), torch.tensor([1, -1, 1, 1])
    found = preference_report(*facts, groups)
    assert (found["cue/target"], found["cue/bias"]) == (0.5, 0.5)


def test_what_has_cues():
    assert has_cues(THREE)
    assert not has_cues(Groups(("a", "b"), ("x", "y")))
    assert not has_cues(Groups(("a", "b"), ("x", "y"), ((0, 0), (1, 0))))
    labels = Groups(("not a", "a"), ("x", "y"), ((0, 0), (1, 1)), multi_label=True)
    assert not has_cues(labels)
