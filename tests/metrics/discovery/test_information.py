"""Information and association from counts, against values by hand, loops and scikit-learn."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats.contingency import association
from sklearn.metrics import mutual_info_score, normalized_mutual_info_score

from debias.metrics.discovery.information import (
    conditional_mutual_information,
    cramers_v,
    information_report,
    mutual_information,
    normalized_mutual_information,
)
from debias.types import Groups
from tests.metrics.golden_cases import golden_record
from tests.metrics.metrics_cases import TRIPLE

# rows and columns may be empty, and so may the table
TABLES = st.lists(st.lists(st.integers(0, 6), min_size=3, max_size=3), min_size=2, max_size=4)


def naive_information(table: list[list[int]]) -> float:
    total = sum(map(sum, table))
    if total == 0:
        return math.nan
    columns = [sum(row[j] for row in table) for j in range(len(table[0]))]
    return sum(
        cell / total * math.log(cell * total / (sum(row) * columns[j]))
        for row in table
        for j, cell in enumerate(row)
        if cell
    )


def labels(table: list[list[int]]) -> tuple[list[int], list[int]]:
    cells = [
        (i, j) for i, row in enumerate(table) for j, cell in enumerate(row) for _ in range(cell)
    ]
    return [i for i, _ in cells], [j for _, j in cells]


def test_identity_and_independence() -> None:
    """Two equal values: log 2 nats, all of it. Products of margins: nothing. [[3,1],[1,3]]: chi^2/n
    = V^2 = 1/4.
    """
    identity, product = torch.tensor([[5, 0], [0, 5]]), torch.tensor([[2, 4], [3, 6]])
    assert mutual_information(identity).item() == pytest.approx(math.log(2), abs=1e-12)
    assert normalized_mutual_information(identity).item() == pytest.approx(1, abs=1e-12)
    assert cramers_v(identity).item() == pytest.approx(1, abs=1e-12)
    for measure in (mutual_information, normalized_mutual_information, cramers_v):
        assert measure(product).item() == pytest.approx(0, abs=1e-12)
        assert measure(product).dtype == torch.float64
    half = torch.tensor([[3, 1], [1, 3]])
    assert cramers_v(half).item() == pytest.approx(0.5, abs=1e-12)
    expected = 0.75 * math.log(1.5) + 0.25 * math.log(0.5)
    assert mutual_information(half).item() == pytest.approx(expected, abs=1e-12)


def test_what_is_undefined_is_nan() -> None:
    nothing, single = torch.zeros(2, 2, dtype=torch.long), torch.tensor([[4, 0], [0, 0]])
    row = torch.tensor([[4, 2], [0, 0]])
    for measure in (mutual_information, normalized_mutual_information, cramers_v):
        assert measure(nothing).isnan()
    assert conditional_mutual_information(nothing[None]).isnan()
    assert mutual_information(single) == 0
    assert normalized_mutual_information(single).isnan()
    assert normalized_mutual_information(row) == 0
    assert cramers_v(row).isnan()


def test_given_the_target_only_what_differs_within_it_counts() -> None:
    """Class 0 (8 samples): prediction = bias, log 2. Class 1 (2 samples): one prediction, 0. Class
    2 is empty.
    """
    tables = torch.tensor([[[4, 0], [0, 4]], [[0, 1], [0, 1]], [[0, 0], [0, 0]]])
    assert conditional_mutual_information(tables).item() == pytest.approx(
        0.8 * math.log(2), abs=1e-12
    )


def test_with_several_labels_the_mean_of_those_defined() -> None:
    """Label 0 is predicted as the bias: log 2, V 1. Label 1 is never predicted: 0, V undefined."""
    groups = Groups(("no a", "a", "no b", "b"), ("x", "y"), multi_label=True)
    bias = torch.tensor([0, 0, 1, 1, -1])
    prediction = torch.stack(
        (torch.tensor([0, 0, 1, 1, 1]), torch.zeros(5, dtype=torch.long)), dim=1
    )
    target = torch.tensor([[0, 0], [1, 1], [0, 0], [1, 1], [1, 1]])
    found = information_report(prediction, target, bias, groups)
    assert found["information/prediction"] == pytest.approx(math.log(2) / 2, abs=1e-12)
    assert found["information/prediction_given_target"] == pytest.approx(math.log(2) / 2, abs=1e-12)
    assert found["information/cramers_v"] == pytest.approx(1, abs=1e-12)
    assert found["information/target"] == pytest.approx(0, abs=1e-12)


def test_of_a_class_and_a_bias_value_that_never_occur() -> None:
    """Predictions 0 0 1 1 are the bias but for one of unknown bias, and a third bias value and
    class never occur.

    log 2 nats, all of it: V and the normalised information are 1. Within target 0 (samples 0, 2) it
    is log 2, and within target 1 (samples 1, 3) too.
    """
    groups = Groups(("a", "b", "c"), ("x", "y", "z"))
    facts = torch.tensor([[0, 0, 1, 1, 0], [0, 1, 0, 1, 0], [0, 0, 1, 1, -1]])
    expected = {
        "information/prediction": math.log(2),
        "information/prediction_normalized": 1.0,
        "information/prediction_given_target": math.log(2),
        "information/target": 0.0,
        "information/cramers_v": 1.0,
        "information/target_cramers_v": 0.0,
    }
    assert information_report(*facts, groups) == pytest.approx(expected, abs=1e-12)


@settings(deadline=None, max_examples=60)
@given(table=TABLES)
def test_the_same_as_a_loop_scikit_learn_and_scipy(table: list[list[int]]) -> None:
    counts = torch.tensor(table)
    found = mutual_information(counts).item()
    assert found == pytest.approx(naive_information(table), abs=1e-12, nan_ok=True)
    sides = labels(table)
    if not sides[0]:
        return
    assert found == pytest.approx(mutual_info_score(*sides), abs=1e-12)
    normalized = normalized_mutual_information(counts).item()
    if len(set(sides[0])) + len(set(sides[1])) > 2:  # scikit-learn calls two constants equal
        assert normalized == pytest.approx(normalized_mutual_info_score(*sides), abs=1e-12)
    else:
        assert math.isnan(normalized)
    filled = np.array(table)
    filled = filled[filled.any(1)][:, filled.any(0)]
    v = cramers_v(counts).item()
    if min(filled.shape) > 1:
        assert v == pytest.approx(association(filled, method="cramer"), abs=1e-12)
    else:
        assert math.isnan(v)


@settings(deadline=None, max_examples=40)
@given(
    tables=st.lists(
        st.lists(st.lists(st.integers(0, 5), min_size=2, max_size=2), min_size=3, max_size=3),
        min_size=1,
    )
)
def test_given_a_third_variable_the_same_as_a_loop(tables: list[list[list[int]]]) -> None:
    sizes = [sum(map(sum, table)) for table in tables]
    parts = [
        size * naive_information(table) for size, table in zip(sizes, tables, strict=True) if size
    ]
    expected = sum(parts) / sum(sizes) if parts else math.nan
    found = conditional_mutual_information(torch.tensor(tables)).item()
    assert found == pytest.approx(expected, abs=1e-12, nan_ok=True)


def test_many_tables_at_once_are_many_tables() -> None:
    tables = torch.randint(6, (5, 3, 4), generator=torch.Generator().manual_seed(0))
    for measure in (mutual_information, normalized_mutual_information, cramers_v):
        torch.testing.assert_close(
            measure(tables), torch.stack([measure(table) for table in tables])
        )


def test_golden() -> None:
    case = golden_record("representation_leakage.json", "mutual_information_pred_attribute")
    prediction, target, bias = (
        torch.tensor(case["inputs"][key]) for key in ("pred", "target", "attribute")
    )
    found, expected = information_report(prediction, target, bias, TRIPLE), case["expected"]
    names = {
        "information/prediction": "mi_nats",
        "information/prediction_normalized": "nmi_arithmetic",
        "information/prediction_given_target": "conditional_mi_pred_attr_given_target",
        "information/target": "mi_target_attribute",
        "information/cramers_v": "cramers_v",
    }
    for key, name in names.items():
        assert found[key] == pytest.approx(expected[name], abs=case["tolerance"]), key
    assert found["information/prediction"] / math.log(2) == pytest.approx(
        expected["mi_bits"], abs=case["tolerance"]
    )
