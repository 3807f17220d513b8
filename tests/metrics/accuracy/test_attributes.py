"""Numbers of one of several bias attributes, from the counts of their combinations."""

import pytest
import torch

from debias.metrics import GroupCounts
from debias.metrics.accuracy.attributes import attribute_margins
from debias.metrics.accuracy.counts import joint_counts, margin_counts, margins
from debias.metrics.accuracy.scalars import group_report, group_scalars
from debias.metrics.shortcuts.preferences import misleading, shortcut_gaps
from debias.types import Attribute, Groups

GROUPS = Groups.product(
    ("country", "urban"),
    (
        Attribute("bg", ("city", "field"), ((0, 1), (1, 0))),
        Attribute("obj", ("cow", "lamp", "sign"), ((0, 0), (1, 1), (1, 2))),
    ),
)
FACES = Groups.product(
    ("bald", "hair", "no hat", "hat"),
    (Attribute("age", ("old", "young")), Attribute("sex", ("f", "m"))),
    multi_label=True,
)


def random_facts(groups, samples=200):
    """Predictions, targets and bias values; an eighth of the biases is unknown."""
    generator = torch.Generator().manual_seed(0)
    shape = (samples, groups.outputs) if groups.multi_label else (samples,)
    prediction, target = torch.randint(2, (2, *shape), generator=generator)
    bias = torch.randint(groups.biases, (samples,), generator=generator)
    unknown = torch.rand(samples, generator=generator) < 1 / 8
    return prediction, target, torch.where(unknown, -1, bias)


@pytest.mark.parametrize("groups", [GROUPS, FACES])
@pytest.mark.parametrize("position", [0, 1])
def test_sums_over_the_product_are_the_counts_of_the_attribute(groups, position):
    prediction, target, bias = random_facts(groups)
    alone, own = groups.alone(position), groups.decode(bias)[:, position]
    expected = margin_counts(prediction, target, own, alone)
    for counts in (margin_counts, joint_counts):
        found = attribute_margins(counts(prediction, target, bias, groups), groups, position)
        assert all(map(torch.equal, found, margins(expected)))


def test_the_report_has_that_of_each_attribute():
    prediction, target, bias = random_facts(GROUPS)
    train = GROUPS.frequencies(*random_facts(GROUPS, 90)[1:])
    counts = margin_counts(prediction, target, bias, GROUPS)
    report, scalars = group_report(counts, GROUPS, train), group_scalars(counts, GROUPS, train)
    assert [entry["name"] for entry in report["attributes"]] == ["bg", "obj"]
    for position, entry in enumerate(report["attributes"]):
        alone = GROUPS.alone(position)
        own = GROUPS.decode(bias)[:, position]
        expected = group_report(
            margin_counts(prediction, target, own, alone), alone, GROUPS.marginal(train, position)
        )
        del expected["classes"]
        assert entry == {"name": GROUPS.attributes[position].name, **expected}
        for key in ("worst_group", "gap", "adjusted_average", "bias_conflicting"):
            assert scalars[f"{key}/{entry['name']}"].item() == expected["scalars"][key]
    assert "attributes" not in group_report(counts, Groups(("a", "b"), tuple("uvwxyz")))


def test_group_counts_know_the_attributes():
    metric = GroupCounts(GROUPS)
    metric.update(torch.tensor([0, 1, 0]), torch.tensor([0, 1, 1]), torch.tensor([3, 1, 2]))
    # urban in the city: one of two is right, by the lamp but not by the sign
    numbers = metric.compute()
    assert (numbers["worst_group/bg"].item(), numbers["worst_group/obj"].item()) == (0.5, 0.0)


def test_gaps_by_hand():
    """Which shortcuts mislead: none in groups 3, 7 and 8; only the object in 4, 5 and 6; only the
    background in 0, 10 and 11; both in 1, 2 and 9.
    """
    digits = misleading(GROUPS).tolist()
    assert [tuple(row) for row in digits] == [
        *[(1, 0), (1, 1), (1, 1), (0, 0), (0, 1), (0, 1)],
        *[(0, 1), (0, 0), (0, 0), (1, 1), (1, 0), (1, 0)],
    ]
    group = torch.tensor([3, 3, 8, 7, 4, 6, 0, 11, 11, 2])
    right = torch.tensor([1, 1, 1, 0, 1, 0, 0, 1, 0, 0]).bool()
    target, bias = group // 6, group % 6
    counts = margin_counts(torch.where(right, target, 1 - target), target, bias, GROUPS)
    train = torch.zeros(12).long()
    train[torch.tensor([3, 8, 5, 10, 9])] = torch.tensor([30, 30, 20, 15, 5])
    gaps = {key: value.item() for key, value in shortcut_gaps(counts, GROUPS, train).items()}
    average = 0.6 * 3 / 4 + 0.2 * 1 / 2 + 0.15 * 1 / 3 + 0.05 * 0
    assert gaps == pytest.approx(
        {
            "in_distribution": average,
            "gap/obj": 1 / 2 - average,
            "gap/bg": 1 / 3 - average,
            "gap/bg+obj": 0 - average,
        }
    )


def test_no_gaps_of_one_shortcut():
    one = Groups.product(("a", "b"), (GROUPS.attributes[0], Attribute("age", ("old", "young"))))
    assert shortcut_gaps(torch.zeros(2, 5, 2).long(), one, torch.ones(8)) == {}
