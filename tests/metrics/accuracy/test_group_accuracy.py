"""The group accuracy family against values by hand, a naive loop, and scikit-learn."""

import math
import warnings
from collections import defaultdict
from itertools import combinations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import balanced_accuracy_score

from debias.metrics.accuracy.counts import class_tally, group_tally, joint_counts, total_tally
from debias.metrics.accuracy.scalars import (
    accuracy,
    accuracy_gap,
    accuracy_ratio,
    class_difference,
    group_scalars,
    least,
    mean_accuracy,
)
from debias.types import Groups
from tests.metrics.golden_cases import golden_record

NAN = math.nan


@st.composite
def evaluations(draw: st.DrawFn) -> tuple[Groups, list, list, list, list]:
    """Groups, prediction, target, bias (with unknowns) and training frequencies; or multi-label."""
    multi_label, biases = draw(st.booleans()), draw(st.integers(1, 3))
    outputs = draw(st.integers(1 if multi_label else 2, 4))
    rows = 2 * outputs if multi_label else outputs
    pairs = st.tuples(st.integers(0, rows - 1), st.integers(0, biases - 1))
    names = tuple(f"t{row}" for row in range(rows)), tuple(f"b{bias}" for bias in range(biases))
    groups = Groups(
        *names, aligned=tuple(draw(st.sets(pairs, max_size=4))), multi_label=multi_label
    )
    choice = st.integers(0, 1 if multi_label else rows - 1)
    label = st.lists(choice, min_size=outputs, max_size=outputs) if multi_label else choice
    samples = draw(
        st.lists(st.tuples(label, label, st.integers(-1, biases - 1)), min_size=1, max_size=40)
    )
    frequencies = draw(st.lists(st.integers(0, 50), min_size=groups.count, max_size=groups.count))
    return groups, *(list(column) for column in zip(*samples, strict=True)), frequencies


def naive(
    groups: Groups, prediction: list, target: list, bias: list, frequencies: list
) -> dict[str, float]:
    """Each number as its definition says, over a list of (row, bias, right)."""
    triples = []
    for guess, truth, attribute in zip(prediction, target, bias, strict=True):
        if groups.multi_label:
            pairs = enumerate(zip(guess, truth, strict=True))
            triples += [(2 * label + t, attribute, p == t) for label, (p, t) in pairs]
        else:
            triples.append((truth, attribute, guess == truth))
    by_group, by_class = defaultdict(list), defaultdict(list)
    for row, attribute, right in triples:
        by_class[row].append(right)
        if attribute >= 0:
            by_group[row, attribute].append(right)
    of_group = {group: float(np.mean(rights)) for group, rights in by_group.items()}
    of_class = {row: float(np.mean(rights)) for row, rights in by_class.items()}
    order = [(row, attribute) for row in range(groups.rows) for attribute in range(groups.biases)]
    weight = {group: n for group, n in zip(order, frequencies, strict=True) if group in of_group}

    def mean(values: list) -> float:
        return float(np.mean(values)) if values else NAN

    average, worst = mean([right for *_, right in triples]), min(of_group.values(), default=NAN)
    total = sum(weight.values())
    found = {
        "average": average,
        "adjusted_average": sum(n * of_group[g] for g, n in weight.items()) / total
        if total
        else NAN,
        "worst_group": worst,
        "worst_class": min(of_class.values(), default=NAN),
        "group_balanced": mean(list(of_group.values())),
        "class_balanced": mean(list(of_class.values())),
        "class_difference": mean(
            [abs(one - other) for one, other in combinations(of_class.values(), 2)] or [0.0]
        ),
        "gap": max(of_group.values(), default=NAN) - worst,
        "robustness_gap": average - worst,
        "greatest_deviation": max(
            (abs(value - average) for value in of_group.values()), default=NAN
        ),
        "group_ratio": worst / max(of_group.values()) if any(of_group.values()) else NAN,
    }
    if groups.aligned:
        for name, chosen in (
            ("bias_aligned", [g for g in of_group if g in groups.aligned]),
            ("bias_conflicting", [g for g in of_group if g not in groups.aligned]),
        ):
            found[name] = mean([of_group[g] for g in chosen])
            found[f"{name}_samples"] = mean([right for g in chosen for right in by_group[g]])
    found |= {
        f"class_accuracy/{name}": of_class.get(row, NAN)
        for row, name in enumerate(groups.target_names)
    }
    return found | {
        f"accuracy/{n}": of_group.get(g, NAN) for n, g in zip(groups.names, order, strict=True)
    }


@settings(max_examples=150, deadline=None)
@given(evaluations())
def test_every_scalar_equals_the_naive_definition(evaluation: tuple) -> None:
    groups, *facts, frequencies = evaluation
    counts = joint_counts(*(torch.tensor(fact) for fact in facts), groups)
    found = {
        key: value.item()
        for key, value in group_scalars(counts, groups, torch.tensor(frequencies)).items()
    }
    assert found == pytest.approx(naive(groups, *facts, frequencies), abs=1e-12, nan_ok=True)


@settings(max_examples=50, deadline=None)
@given(evaluations(), st.randoms(use_true_random=False))
def test_order_of_the_samples_does_not_matter(evaluation: tuple, random: object) -> None:
    groups, *facts, _ = evaluation
    order = list(range(len(facts[0])))
    random.shuffle(order)
    tensors = [torch.tensor(fact) for fact in facts]
    assert torch.equal(
        joint_counts(*tensors, groups), joint_counts(*(tensor[order] for tensor in tensors), groups)
    )


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=30))
def test_class_balanced_is_sklearns_balanced_accuracy(pairs: list) -> None:
    """Also where a class is predicted and never a target: torchmetrics' macro accuracy counts that
    one as 0.
    """
    groups = Groups(("a", "b", "c", "d"), ("x",))
    target, prediction = torch.tensor(pairs).T
    found = group_scalars(
        joint_counts(prediction, target, torch.zeros_like(target), groups), groups
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns of such classes, and of a single one
        expected = balanced_accuracy_score(target.numpy(), prediction.numpy())
    assert found["class_balanced"].item() == pytest.approx(expected, abs=1e-12)


def test_four_quantities_called_unbiased_are_four_numbers() -> None:
    """Groups (0,0): 8 of 8, (0,1): 0 of 2, (1,0): 1 of 2, (1,1): 12 of 12; aligned (0,0) and (1,1).

    Average 21/24; classes 8/10 and 13/14, mean .864286; groups mean (1 + 0 + .5 + 1) / 4 = .625;
    conflicting 1/4 both ways; adjusted by (90, 10, 10, 90): (90 + 0 + 5 + 90) / 200 = .925.
    """
    groups = Groups(("0", "1"), ("0", "1"), aligned=((0, 0), (1, 1)))
    counts = torch.tensor([[[8, 0], [0, 2], [0, 0]], [[1, 1], [0, 12], [0, 0]]])
    found = group_scalars(counts, groups, torch.tensor([90, 10, 10, 90]))
    expected = {
        "average": 0.875,
        "class_balanced": (8 / 10 + 13 / 14) / 2,
        "group_balanced": 0.625,
        "adjusted_average": 0.925,
        "bias_aligned": 1.0,
        "bias_conflicting": 0.25,
        "bias_conflicting_samples": 0.25,
    }
    assert {key: found[key].item() for key in expected} == pytest.approx(expected, abs=1e-15)


def test_tallies_read_the_table_where_each_says() -> None:
    """Rows a, b; biases x, y, unknown; a cell is [predicted a, predicted b]."""
    counts = torch.tensor([[[5, 1], [2, 3], [7, 0]], [[1, 4], [0, 0], [2, 2]]])
    by_group, by_class, total = group_tally(counts), class_tally(counts), total_tally(counts)
    assert (by_group.correct.tolist(), by_group.total.tolist()) == ([5, 2, 4, 0], [6, 5, 5, 0])
    assert (by_class.correct.tolist(), by_class.total.tolist()) == ([14, 6], [18, 9])
    assert (total.correct.item(), total.total.item()) == (20, 27)


def test_an_empty_group_is_nan_and_left_out_of_every_aggregate() -> None:
    accuracies = accuracy(torch.tensor([3, 0, 1]), torch.tensor([4, 0, 4]))
    assert accuracies.tolist() == pytest.approx([0.75, NAN, 0.25], nan_ok=True)
    assert accuracies.dtype == torch.float64
    assert least(accuracies).item() == 0.25
    assert accuracy_gap(accuracies).item() == 0.5
    assert mean_accuracy(accuracies).item() == 0.5
    assert mean_accuracy(accuracies, torch.tensor([1, 9, 3])).item() == 0.375
    assert mean_accuracy(accuracies, torch.tensor([False, True, True])).item() == 0.25


def test_aggregates_are_nan_only_if_nothing_is_defined() -> None:
    nothing = torch.full((3,), NAN, dtype=torch.float64)
    for aggregate in (least, accuracy_gap, accuracy_ratio, mean_accuracy):
        assert math.isnan(aggregate(nothing).item())
    assert math.isnan(mean_accuracy(torch.tensor([0.5, NAN]), torch.tensor([0, 1])).item())
    assert least(torch.tensor([NAN, 1.0])).item() == 1.0
    assert accuracy_gap(torch.tensor([NAN, 1.0])).item() == 0.0
    assert accuracy_ratio(torch.tensor([NAN, 0.5, 0.8])).item() == 0.625
    assert accuracy_ratio(torch.tensor([NAN, 0.0, 0.5])).item() == 0.0
    assert math.isnan(accuracy_ratio(torch.tensor([0.0, 0.0])).item())


def test_equal_groups_leave_no_gap() -> None:
    counts = torch.tensor([[[3, 1], [6, 2], [0, 0]], [[2, 6], [1, 3], [0, 0]]])
    groups = Groups(("a", "b"), ("x", "y"), aligned=((0, 0), (1, 1)))
    found = group_scalars(counts, groups, torch.tensor([5, 1, 1, 9]))
    gaps = {"gap", "robustness_gap", "greatest_deviation", "class_difference"}
    assert {found[key].item() for key in gaps} == {0.0}
    assert found.pop("group_ratio").item() == 1.0
    assert {value.item() for key, value in found.items() if key not in gaps} == {0.75}


@given(st.lists(st.floats(0, 1) | st.just(NAN), max_size=5))
def test_the_class_difference_is_the_mean_over_pairs(recalls: list) -> None:
    known = [value for value in recalls if not math.isnan(value)]
    apart = [abs(one - other) for one, other in combinations(known, 2)]
    expected = math.fsum(apart) / max(1, len(apart)) if known else NAN
    found = class_difference(torch.tensor(recalls, dtype=torch.float64)).item()
    assert found == pytest.approx(expected, abs=1e-9, nan_ok=True)


@pytest.mark.parametrize("name", ["subpopbench_binary", "subpopbench_multiclass"])
def test_the_class_difference_equals_subpopbench(name: str) -> None:
    """SubpopBench takes the sum over the pairs of classes."""
    case = golden_record("group_accuracy.json", name)
    recalls = [row["recall"] for _, row in sorted(case["expected"]["per_class"].items())]
    found = class_difference(torch.tensor(recalls, dtype=torch.float64)).item()
    expected = case["expected"]["class_diff"] / math.comb(len(recalls), 2)
    assert found == pytest.approx(expected, abs=1e-9)


def test_the_class_difference_by_hand() -> None:
    """Recalls 0.9, 0.5 and 0.6: 0.4, 0.3 and 0.1 apart. A class without samples is in no pair, one
    alone in none.
    """
    for recalls, expected in (
        ([0.9, 0.5, 0.6], 0.8 / 3),
        ([0.9, NAN, 0.5], 0.4),
        ([0.0, 1.0], 1.0),
        ([0.1, 0.1], 0.0),
        ([0.7, NAN], 0.0),
        ([NAN, NAN], NAN),
    ):
        found = class_difference(torch.tensor(recalls, dtype=torch.float64)).item()
        assert found == pytest.approx(expected, abs=1e-12, nan_ok=True)
