"""Agreement of groupings: whatever the groups are called."""

import math
from itertools import permutations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from debias.metrics.discovery.partitions import (
    agreement_report,
    contingency,
    environment_recovery,
    hungarian_accuracy,
    purity,
)
from tests.metrics.golden_cases import golden_record


def test_a_worked_table() -> None:
    """Rows 7 and 9, columns 0 and 2; matched on the diagonal 3 + 2 of 6; one is unknown."""
    inferred, true = torch.tensor([7, 7, 7, 9, 9, 9, 7]), torch.tensor([0, 0, 0, 2, 2, 0, -1])
    table = contingency(inferred, true)
    assert table.tolist() == [[3, 0], [1, 2]]
    assert hungarian_accuracy(table) == pytest.approx(5 / 6)
    assert purity(table) == pytest.approx(5 / 6)
    assert hungarian_accuracy(torch.tensor([[3, 1], [2, 0]])) == pytest.approx(3 / 6)
    assert purity(torch.tensor([[3, 1], [2, 0]])) == pytest.approx(5 / 6)


@settings(deadline=None, max_examples=40)
@given(rows=st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=1, max_size=20))
def test_matching_is_the_best_of_all_namings(rows: list[tuple[int, int]]) -> None:
    best = max(sum(names[i] == j for i, j in rows) for names in permutations(range(3)))
    inferred, true = (torch.tensor(list(side)) for side in zip(*rows, strict=True))
    assert hungarian_accuracy(contingency(inferred, true)) == pytest.approx(best / len(rows))
    found = sum(max(sum(p == (i, j) for p in rows) for j in range(3)) for i in range(3))
    assert purity(contingency(inferred, true)) == pytest.approx(found / len(rows))


def test_names_of_groups_do_not_matter() -> None:
    true = torch.randint(4, (60,), generator=torch.Generator().manual_seed(0))
    inferred = torch.where(torch.arange(60) % 5 == 0, (true + 1) % 4, true)
    renamed = torch.tensor([8, 3, 5, 0])[inferred]
    first = agreement_report(inferred, true)
    assert agreement_report(renamed, true) == pytest.approx(first)
    assert 0 < first["agreement/rand"] < 1
    assert agreement_report(torch.tensor([8, 3, 5, 0])[true], true) == pytest.approx(
        dict.fromkeys(first, 1.0)
    )


def test_nothing_is_undefined() -> None:
    found = agreement_report(torch.tensor([0, 1]), torch.tensor([-1, -1]))
    assert all(math.isnan(value) for value in found.values())


def test_two_environments_have_no_names() -> None:
    """Minority 1 1 0 0 0 0, second environment 1 0 0 0 0 0: recalls 1/2, 1, mean 3/4; swapped too.

    Pairs ranked right, of eight: the first minority sample before all four, the second ties with
    them: (4 + 2) / 8.
    """
    minority, scores = torch.tensor([1, 1, 0, 0, 0, 0]).bool(), torch.tensor([1.0, 0, 0, 0, 0, 0])
    expected = {"environment/balanced_accuracy": 0.75, "environment/auroc": 0.75}
    assert environment_recovery(scores, minority) == pytest.approx(expected)
    assert environment_recovery(1 - scores, minority) == pytest.approx(expected)
    undecided = environment_recovery(torch.full((6,), 0.5), minority)
    assert undecided == pytest.approx(dict.fromkeys(expected, 0.5))
    assert all(
        math.isnan(value) for value in environment_recovery(scores, torch.zeros(6).bool()).values()
    )


def test_golden() -> None:
    case = golden_record("group_discovery.json", "cluster_agreement")
    found = agreement_report(
        *(torch.tensor(case["inputs"][key]) for key in ("inferred_group", "true_group"))
    )
    names = {"rand": "ari", "mutual_information_adjusted": "ami", "mutual_information": "nmi"}
    for name in (
        "rand",
        "mutual_information_adjusted",
        "mutual_information",
        "homogeneity",
        "completeness",
    ):
        assert found[f"agreement/{name}"] == pytest.approx(
            case["expected"][names.get(name, name)], abs=1e-5
        )
    for name in ("hungarian_accuracy", "purity"):
        assert found[f"agreement/{name}"] == pytest.approx(case["expected"][name], abs=1e-9)


def test_golden_adjusted_information() -> None:
    case = golden_record("representation_leakage.json", "mutual_information_pred_attribute")
    found = agreement_report(*(torch.tensor(case["inputs"][key]) for key in ("pred", "attribute")))
    assert found["agreement/mutual_information_adjusted"] == pytest.approx(
        case["expected"]["adjusted_mi"], abs=1e-5
    )
