"""GroupCounts as a state: big counts, copies, devices, collections, and what it refuses."""

import pickle
import re
from typing import Any

import pytest
import torch
from torch import Tensor
from torchmetrics import MetricCollection

from debias.metrics import GroupCounts, amplification_scalars, group_report, joint_counts
from debias.metrics.accuracy.counts import Margins
from debias.metrics.discovery.information import information_scalars
from debias.types import Groups
from tests.metrics.metrics_cases import BIRDS, worked


def test_counts_do_not_stall_where_floats_would() -> None:
    """2^24 + 1 = 16777217 is no float32; the group has 2^24 right before, one more after."""
    metric = GroupCounts(BIRDS, group_report)
    metric.counts[:, 0, 0] = 2**24  # in all, right, and chosen
    metric.update(torch.tensor([0, 1]), torch.tensor([0, 0]), torch.tensor([0, 0]))
    report = metric.compute()
    assert report["groups"][0]["count"] == 2**24 + 2
    assert report["groups"][0]["accuracy"] == (2**24 + 1) / (2**24 + 2)


def test_reset_and_merge_and_forward() -> None:
    case = worked()
    metric = GroupCounts(case.groups, train_frequencies=case.train_frequencies)
    batch = metric(case.prediction[:4], case.target[:4], case.bias[:4])
    assert batch["average"].item() == 0.5
    metric(case.prediction[4:], case.target[4:], case.bias[4:])
    found = {key: metric.compute()[key].item() for key in case.expected}
    assert found == pytest.approx(dict(case.expected), abs=case.tolerance)
    copy = pickle.loads(pickle.dumps(metric))
    assert copy.compute() == metric.compute()
    metric.reset()
    assert not metric.counts.any()


def test_updates_inside_inference_mode_can_be_continued_outside() -> None:
    metric = GroupCounts(BIRDS)
    one = torch.tensor([1])
    with torch.inference_mode():
        metric.reset()
        metric.update(one, one, one)
    metric.update(one, one, one)
    assert metric.counts[:, 1, 1].tolist() == [2, 2, 2]


def test_update_waits_for_no_device() -> None:
    """Meta tensors have no values: whatever would read one (``item``, ``bincount``, ``unique``)
    raises on them.
    """
    metric = GroupCounts(BIRDS).to("meta")
    metric.update(*torch.empty(3, 8, dtype=torch.long, device="meta"))
    assert metric.counts.shape == (3, 2, 3)
    with pytest.raises((RuntimeError, NotImplementedError)):
        metric.compute()


def test_a_collection_never_joins_two_of_them() -> None:
    """First batch: both biases are equal, so the states are; then "object" is opposite to "place",
    and must show it.
    """
    place, thing = (Groups(("no", "yes"), names) for names in (("land", "water"), ("boat", "tree")))
    collection = MetricCollection({"place": GroupCounts(place), "object": GroupCounts(thing)})
    target = torch.tensor([0, 1, 0, 1])
    collection.update(target, target, target)
    assert torch.equal(collection["place"].counts, collection["object"].counts)
    for name, bias in (("place", target), ("object", 1 - target)):
        collection[name].update(1 - target, target, bias)
    found = collection.compute()
    assert len(collection.compute_groups) == 2
    assert found["place_accuracy/no-land"].item() == 0.5
    assert found["object_accuracy/no-boat"].item() == 1.0
    assert found["object_accuracy/no-tree"].item() == 0.0


def test_a_collection_keeps_clones_apart_too() -> None:
    metric = GroupCounts(BIRDS)
    collection = MetricCollection({"val": metric, "test": metric.clone()})
    one = torch.tensor([1])
    collection.update(one, one, one)
    assert len(collection.compute_groups) == 2


@pytest.mark.parametrize(
    ("prediction", "target", "bias", "message"),
    [
        ([0], [2], [0], r"target must lie in \[0, 2\); got 2"),
        ([0], [-1], [0], r"target must lie in \[0, 2\); got -1"),
        ([3], [0], [0], r"prediction must lie in \[0, 2\); got 3"),
        ([0], [0], [2], r"bias must lie in \[-1, 2\); got 2.* For numbers of groups, .* group % 2"),
        ([0], [0], [4], r"bias must lie in \[-1, 2\); got 4.*bias values \('land', 'water'\)$"),
        ([0], [0], [-2], r"bias must lie in \[-1, 2\); got -2"),
    ],
)
def test_a_value_out_of_range_is_named(
    prediction: list[int], target: list[int], bias: list[int], message: str
) -> None:
    facts = [torch.tensor(values) for values in (prediction, target, bias)]
    metric = GroupCounts(BIRDS)
    metric.update(*facts)
    metric.update(*(torch.zeros(5, dtype=torch.long) for _ in range(3)))
    with pytest.raises(ValueError, match=message):
        metric.compute()
    with pytest.raises(ValueError, match=message):
        joint_counts(*facts, BIRDS)
    metric.reset()
    metric.update(*(torch.zeros(5, dtype=torch.long) for _ in range(3)))
    assert metric.compute()["average"].item() == 1.0


def test_a_label_of_two_is_not_the_next_label() -> None:
    groups = Groups(("not a", "a", "not b", "b"), ("x",), multi_label=True)
    with pytest.raises(ValueError, match=r"target must lie in \[0, 2\); got 2"):
        joint_counts(torch.tensor([[0, 0]]), torch.tensor([[2, 0]]), torch.tensor([0]), groups)


@pytest.mark.parametrize(
    ("prediction", "target", "bias", "message"),
    [
        *(
            (
                torch.rand(shape),
                torch.zeros(3).long(),
                torch.zeros(3).long(),
                r"logits of shape \(N, 2\); got torch.float32 of shape "
                + re.escape(f"{shape}. If"),
            )
            for shape in ((3,), (3, 1), (3, 3))
        ),
        (
            torch.zeros(3).long(),
            torch.rand(3, 2),
            torch.zeros(3).long(),
            "target must hold integers",
        ),
        (
            torch.zeros(3).long(),
            torch.zeros(4).long(),
            torch.zeros(3).long(),
            r"got \(3,\), \(4,\) and \(3,\)",
        ),
        (torch.zeros(3).long(), torch.zeros(3).long(), torch.tensor(0), r"bias \(N,\)"),
        (
            torch.zeros(3, 2).long(),
            torch.zeros(3, 2).long(),
            torch.zeros(3).long(),
            r"must be \(N,\)",
        ),
    ],
)
def test_a_batch_of_the_wrong_form_is_refused(
    prediction: torch.Tensor, target: torch.Tensor, bias: torch.Tensor, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        GroupCounts(BIRDS).update(prediction, target, bias)


def test_an_empty_batch_and_small_integers_are_welcome() -> None:
    metric = GroupCounts(BIRDS)
    metric.update(*(torch.empty(0, dtype=torch.long) for _ in range(3)))
    metric.update(
        torch.tensor([True, False]),
        torch.tensor([1, 1], dtype=torch.uint8),
        torch.tensor([1, -1]).int(),
    )
    assert metric.compute()["average"].item() == 0.5
    assert metric.compute()["worst_group"].item() == 1.0


@pytest.mark.parametrize("frequencies", [[1, 2, 3], [1, 2, 3, -1], [0, 0, 0, 0]])
def test_impossible_training_frequencies_are_refused(frequencies: list[int]) -> None:
    with pytest.raises(ValueError, match="each of the 4 groups"):
        GroupCounts(BIRDS, train_frequencies=torch.tensor(frequencies))


def read_facts(counts: Tensor | Margins, groups: Groups, *facts: Tensor) -> dict[str, Any]:
    """What a reader is given."""
    return {"kind": type(counts), "names": groups.names, "facts": facts}


def test_a_reader_is_given_the_counts_the_groups_and_the_frequencies() -> None:
    """Every group has one sample, predicted right."""
    target, bias = torch.tensor([[0, 0, 1, 1], [0, 1, 0, 1]])
    frequencies = torch.tensor([1, 2, 3, 4])
    metric = GroupCounts(BIRDS, read_facts, train_frequencies=frequencies)
    metric.update(target, target, bias)
    found = metric.compute()
    assert (found["kind"], found["names"]) == (Margins, BIRDS.names)
    assert [fact.tolist() for fact in found["facts"]] == [[1, 2, 3, 4]]
    plain = GroupCounts(BIRDS, read_facts)
    plain.update(target, target, bias)
    assert plain.compute()["facts"] == ()


def test_training_frequencies_turn_the_sign_of_amplification() -> None:
    """The labels follow the bias and the predictions more so; in training it was the reverse."""
    target, bias = torch.tensor([[0, 0, 0, 1, 1, 1, 1, 0], [0, 0, 0, 0, 1, 1, 1, 1]])
    found = []
    for frequencies in (None, torch.tensor([1, 3, 3, 1])):
        metric = GroupCounts(BIRDS, amplification_scalars, train_frequencies=frequencies)
        metric.update(bias, target, bias)
        found.append(metric.compute()["amplification/attribute_to_task"].item())
    assert found == [0.25, -0.25]


def test_margins_are_no_table_of_predictions() -> None:
    metric = GroupCounts(BIRDS, information_scalars)
    metric.update(*torch.tensor([[0, 1], [0, 1], [0, 1]]))
    with pytest.raises(ValueError, match="Call joint_counts"):
        metric.compute()
