"""Error sets and inferred groups as finders of the minority."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import f1_score, precision_score, recall_score

from debias.metrics.accuracy.scalars import least
from debias.metrics.discovery.errors import (
    class_discovery,
    discovery_report,
)
from debias.types import Groups
from tests.metrics.golden_cases import golden_file, golden_record
from tests.metrics.metrics_cases import BIRDS, TRIPLE, multi_label

CASES = golden_file("group_discovery.json")
BITS = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=30)


def columns(name: str, *keys: str) -> list[torch.Tensor]:
    inputs = golden_record("group_discovery.json", name)["inputs"]
    return [torch.tensor(inputs[key]) for key in keys]


@settings(deadline=None, max_examples=60)
@given(rows=BITS)
def test_the_same_as_scikit_learn_and_a_loop(rows: list[tuple[bool, bool]]) -> None:
    selected, minority = (list(side) for side in zip(*rows, strict=True))
    # class 0 throughout, with a bias that misleads exactly the minority
    groups = Groups(("a", "b"), ("x", "y"), aligned=((0, 0),))
    target, bias = torch.zeros(len(rows), dtype=torch.long), torch.tensor(minority).long()
    report = discovery_report(torch.tensor(selected).long(), target, bias, groups)
    names = ("precision", "recall", "f1", "lift")
    precision, recall, f1, lift = (report[f"discovery/error_{name}"] for name in names)
    if any(selected):
        assert precision == pytest.approx(precision_score(minority, selected), abs=1e-12)
    if any(minority):
        assert recall == pytest.approx(recall_score(minority, selected), abs=1e-12)
    if any(selected) or any(minority):
        assert f1 == pytest.approx(f1_score(minority, selected), abs=1e-12)
    if any(selected) and any(minority):
        assert lift == pytest.approx(precision * len(rows) / sum(minority), abs=1e-12)
    assert math.isnan(precision) == (not any(selected))
    assert math.isnan(recall) == (not any(minority))
    assert math.isnan(f1) == (not any(selected) and not any(minority))
    assert math.isnan(lift) == (not any(selected) or not any(minority))


def test_report_of_a_worked_case() -> None:
    """Targets 0 0 0 1 1 1, biases 0 1 1 1 0 -, predictions 0 1 0 0 0 0; the last counts nowhere.

    Errors are samples 1 (0-1), 3 (1-1) and 4 (1-0). Minority: 0-1 (samples 1, 2) and 1-0 (4), 3 of
    5. Precision 2/3, recall 2/3, lift (2/3) / (3/5) = 10/9; each of three groups makes up a third
    of the errors.
    """
    target, bias, prediction = torch.tensor(
        [[0, 0, 0, 1, 1, 1], [0, 1, 1, 1, 0, -1], [0, 1, 0, 0, 0, 0]]
    )
    found = discovery_report(prediction, target, bias, BIRDS)
    assert found == pytest.approx(
        {
            "discovery/error_share/landbird-land": 0,
            "discovery/error_share/landbird-water": 1 / 3,
            "discovery/error_share/waterbird-land": 1 / 3,
            "discovery/error_share/waterbird-water": 1 / 3,
            "discovery/error_precision": 2 / 3,
            "discovery/error_recall": 2 / 3,
            "discovery/error_f1": 2 / 3,
            "discovery/error_lift": 10 / 9,
        }
    )


def test_without_errors_or_aligned_groups() -> None:
    target, bias = torch.tensor([0, 1]), torch.tensor([0, 1])
    right = discovery_report(target, target, bias, BIRDS)
    assert all(math.isnan(value) for value in right.values())
    plain = Groups(BIRDS.target_names, BIRDS.bias_names)
    assert set(discovery_report(target, target, bias, plain)) == {
        f"discovery/error_share/{n}" for n in BIRDS.names
    }


def test_with_several_labels_pairs_are_counted() -> None:
    case = multi_label()
    found = discovery_report(case.prediction, case.target, case.bias, case.groups)
    group, wrong = case.groups.encode(case.target, case.bias), case.prediction != case.target
    known = group >= 0
    for index, name in enumerate(case.groups.names):
        expected = (wrong & (group == index)).sum() / (wrong & known).sum()
        assert found[f"discovery/error_share/{name}"] == pytest.approx(expected.item(), abs=1e-6)


def test_the_largest_group_of_a_class_is_its_majority() -> None:
    """Class 0: groups 5 5 5 2, the last two minority: one inferred, right; two true, half found.

    Class 1: groups 0 0 1 1 tie, the first is the majority; the last sample is minority: 1 of 2, 1
    of 1. Class 2: one group, nothing inferred; no minority. Right: 3 of 4, 3 of 4 and 2 of 2.
    """
    inferred = torch.tensor([5, 5, 5, 2, 0, 0, 1, 1, 3, 3])
    target = torch.tensor([0, 0, 0, 0, 1, 1, 1, 1, 2, 2])
    minority = torch.tensor([0, 0, 1, 1, 0, 0, 0, 1, 0, 0]).bool()
    found = class_discovery(inferred, target, minority)
    assert found.accuracy == 0.8
    assert found.precision[:2].tolist() == [1.0, 0.5]
    assert found.recall[:2].tolist() == [0.5, 1.0]
    assert found.precision[2].isnan()
    assert found.recall[2].isnan()
    empty = class_discovery(*torch.zeros(2, 0, dtype=torch.long), torch.zeros(0, dtype=torch.bool))
    assert empty.accuracy.isnan()


def test_golden_error_set() -> None:
    target, bias, prediction = columns(
        "jtt_error_set_precision_recall", "target", "attribute", "pred"
    )
    expected = CASES["jtt_error_set_precision_recall"]["expected"]
    found = discovery_report(prediction, target, bias, BIRDS)
    for key, name in (
        ("precision", "precision"),
        ("recall", "recall"),
        ("f1", "sklearn_f1"),
        ("lift", "lift"),
    ):
        assert found[f"discovery/error_{key}"] == pytest.approx(expected[name], abs=1e-9)


def test_golden_error_shares() -> None:
    target, bias, prediction = columns(
        "error_set_composition_per_group", "target", "attribute", "pred"
    )
    found = discovery_report(prediction, target, bias, BIRDS)
    expected = CASES["error_set_composition_per_group"]["expected"]
    for (y, a), name in zip(((0, 0), (0, 1), (1, 0), (1, 1)), BIRDS.names, strict=True):
        share = expected[f"y{y}_a{a}"]["enrichment_precision"]
        assert found[f"discovery/error_share/{name}"] == pytest.approx(share, abs=1e-9)


@pytest.mark.parametrize("name", ["per_class_groups", "jtt_error_set"])
def test_golden_class_discovery(name: str) -> None:
    target, bias, inferred, prediction = columns(
        "spuco_group_evaluator", "target", "attribute", "inferred_within_class", "pred"
    )
    expected = CASES["spuco_group_evaluator"]["expected"][name]
    guess = inferred if name == "per_class_groups" else (prediction != target).long()
    minority = torch.tensor(
        [pair not in TRIPLE.aligned for pair in zip(target.tolist(), bias.tolist(), strict=True)]
    )
    found = class_discovery(guess, target, minority)
    assert found.accuracy.item() == pytest.approx(expected["accuracy"], abs=1e-9)
    for values, key in ((found.precision, "precision_mean_min"), (found.recall, "recall_mean_min")):
        assert [values.nanmean().item(), least(values).item()] == pytest.approx(
            expected[key], abs=1e-9
        )
