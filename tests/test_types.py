"""Groups: the one numbering, by its full table, for classes and for several labels."""

import pytest
import torch

from debias.types import Attribute, Groups

CLASSES = Groups(("landbird", "waterbird"), ("land", "water"), aligned=((0, 0), (1, 1)))
LABELS = Groups(
    ("not Smiling", "Smiling", "no hat", "hat"), ("man", "woman", "other"), multi_label=True
)


def test_the_full_table_of_classes():
    """Every group once: the rival's 2 * target + 2 * bias would merge two of them."""
    target, bias = torch.tensor([0, 0, 1, 1]), torch.tensor([0, 1, 0, 1])
    assert CLASSES.encode(target, bias).tolist() == [0, 1, 2, 3]
    assert CLASSES.names == ("landbird-land", "landbird-water", "waterbird-land", "waterbird-water")
    assert (CLASSES.count, CLASSES.rows, CLASSES.biases, CLASSES.outputs) == (4, 2, 2, 2)


def test_the_table_of_several_labels():
    """A label has two rows, absent and present, of three groups each."""
    group = LABELS.encode(torch.tensor([[0, 1], [1, 0], [1, 1]]), torch.tensor([0, 2, -1]))
    assert group.tolist() == [[0, 9], [5, 8], [-1, -1]]
    assert [LABELS.names[index] for index in (0, 9, 5, 8)] == [
        "not Smiling-man", "hat-man", "Smiling-other", "no hat-other",
    ]  # fmt: skip
    assert (LABELS.count, LABELS.outputs) == (12, 2)


def test_frequencies_leave_unknown_biases_out():
    assert CLASSES.frequencies(
        torch.tensor([0, 0, 1, 1]), torch.tensor([0, 0, 1, -1])
    ).tolist() == [2, 0, 0, 1]
    assert LABELS.frequencies(torch.tensor([[0, 1]]), torch.tensor([1])).tolist() == [
        0,
        1,
        0,
        0,
        0,
        0,
        0,
        0,
        0,
        0,
        1,
        0,
    ]


def test_several_labels_and_several_attributes():
    """Combination = size * 2 + place; every label has its rows in each attribute alone."""
    size, place = Attribute("size", ("big", "small", "tiny")), Attribute("place", ("in", "out"))
    names = ("no hat", "hat", "no tie", "tie")
    groups = Groups.product(names, (size, place), multi_label=True)
    assert (groups.count, groups.biases, groups.outputs) == (24, 6, 2)
    values = torch.tensor([[0, 1], [2, 0], [-1, 0], [1, -1]])
    assert groups.combine(values).tolist() == [1, 4, -1, -1]
    every = torch.arange(6)
    assert torch.equal(groups.combine(groups.decode(every)), every)
    target, bias = torch.tensor([[1, 0], [1, 1], [0, 0]]), torch.tensor([4, 1, 5])
    counts = groups.frequencies(target, bias)
    for position in (0, 1):
        alone = groups.alone(position)
        expected = alone.frequencies(target, groups.decode(bias)[:, position])
        assert groups.marginal(counts, position).tolist() == expected.tolist()
    stacked = torch.stack([counts, 2 * counts])
    assert groups.marginal(stacked, 1).tolist()[1] == (2 * groups.marginal(counts, 1)).tolist()


def test_attributes_share_a_value_or_not():
    places = [Attribute(name, ("urban", "country")) for name in ("bg", "object")]
    groups = Groups.product(("a", "b"), places)
    assert groups.bias_names[1] == "bg=urban & object=country"
    assert groups.alone(0) == Groups(("a", "b"), ("urban", "country"))


def test_predictions():
    logits = torch.tensor([[0.5, -1.0], [-3.0, 2.0]])
    assert CLASSES.predict(logits).tolist() == [0, 1]
    assert LABELS.predict(logits).tolist() == [[1, 0], [0, 1]]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            (("a", "b"), ("c", "d"), (), False, (Attribute("x", ("c",)), Attribute("y", ("d",)))),
            "have 1 combinations of values, and there are 2 bias values",
        ),
        (
            (
                ("a", "b"),
                ("c", "d"),
                (),
                False,
                (Attribute("x", ("c", "d")), Attribute("x", ("e",))),
            ),
            "must have different names",
        ),
        ((("a-b", "a"), ("c", "b-c")), "two groups have the same name"),
        ((("a", "b"), ("c",), ((0, 1),)), r"within 2 targets and 1 biases; got \[\(0, 1\)\]"),
        ((("a", "b", "c"), ("d",), (), True), "must be pairs, absent and present"),
    ],
)
def test_refuses(arguments, message):
    with pytest.raises(ValueError, match=message):
        Groups(*arguments)


def test_single_label_targets_pass_and_several_labels_are_refused():
    Groups(("a", "b"), ("x",)).check_single_label("LDAM")
    labels = Groups(("no", "yes"), ("x",), multi_label=True)
    with pytest.raises(
        ValueError,
        match=r"^LDAM needs one class per sample: name a single target, not several labels$",
    ):
        labels.check_single_label("LDAM")
