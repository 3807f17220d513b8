"""The fairness family against a loop, fairlearn, and values of aif360 and torchmetrics."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from debias.metrics.accuracy.counts import joint_counts
from debias.metrics.accuracy.scalars import difference_to_overall
from debias.metrics.fairness.rates import (
    Confusion,
    confusion_rates,
    fairness_report,
    fairness_scalars,
    group_rates,
    one_vs_rest,
    outcome_names,
    rate_difference,
    rate_ratio,
)
from debias.metrics.families import reading
from debias.types import Groups
from tests.metrics.score_cases import FAIRNESS, binary, labels, worked_fairness

NAN = math.nan
needs_golden = pytest.mark.skipif(not FAIRNESS, reason="golden files are not at hand")


@st.composite
def evaluations(draw: st.DrawFn) -> tuple[Groups, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Groups, prediction, target and bias (with unknowns); single- or multi-label, classes and
    biases often missing.
    """
    multi_label, biases = draw(st.booleans()), draw(st.integers(1, 3))
    outputs = draw(st.integers(1, 3) if multi_label else st.integers(2, 4))
    rows = 2 * outputs if multi_label else outputs
    names = tuple(f"t{row}" for row in range(rows)), tuple(f"b{bias}" for bias in range(biases))
    choice = st.integers(0, 1 if multi_label else rows - 1)
    label = st.lists(choice, min_size=outputs, max_size=outputs) if multi_label else choice
    samples = draw(
        st.lists(st.tuples(label, label, st.integers(-1, biases - 1)), min_size=1, max_size=30)
    )
    return Groups(*names, multi_label=multi_label), *map(torch.tensor, zip(*samples, strict=True))


def decisions(
    groups: Groups, prediction: torch.Tensor, target: torch.Tensor
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Predicted and true 0/1 arrays of each outcome."""
    if groups.multi_label:
        return [(p.numpy(), t.numpy()) for p, t in zip(prediction.T, target.T, strict=True)]
    classes = [1] if groups.rows == 2 else range(groups.rows)
    return [((prediction == c).long().numpy(), (target == c).long().numpy()) for c in classes]


def mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else NAN


def compare(rates: list[float], *, ratio: bool = False) -> float:
    known = [rate for rate in rates if not math.isnan(rate)]
    if len(known) < 2 or (ratio and max(known) == 0):
        return NAN
    return min(known) / max(known) if ratio else max(known) - min(known)


def naive(
    groups: Groups, prediction: torch.Tensor, target: torch.Tensor, bias: torch.Tensor
) -> dict[str, float]:
    """Each number as its definition says: masks and means."""
    found: dict[str, list[float]] = {}
    rights = (prediction == target).numpy()
    rows = decisions(groups, prediction, target)
    for outcome, (p, t) in enumerate(rows):
        slices = [(p[bias.numpy() == k], t[bias.numpy() == k]) for k in range(groups.biases)]
        right = [rights[bias.numpy() == k] for k in range(groups.biases)]
        rates = {
            "demographic_parity": [mean(a) for a, _ in slices],
            "equal_opportunity": [mean(a[b == 1]) for a, b in slices],
            "false": [mean(a[b == 0]) for a, b in slices],
            "predictive_parity": [mean(b[a == 1]) for a, b in slices],
            "accuracy": [mean(r[:, outcome] if groups.multi_label else r) for r in right],
        }
        if outcome and not groups.multi_label:
            del rates["accuracy"]
        odds = [compare(rates[name]) for name in ("equal_opportunity", "false")]
        odds_ratios = [compare(rates[name], ratio=True) for name in ("equal_opportunity", "false")]
        for name in set(rates) - {"false"}:
            found.setdefault(f"{name}_difference", []).append(compare(rates[name]))
            found.setdefault(f"{name}_ratio", []).append(compare(rates[name], ratio=True))
        known, known_ratios = (
            [v for v in values if not math.isnan(v)] for values in (odds, odds_ratios)
        )
        found.setdefault("equalized_odds_difference", []).append(max(known, default=NAN))
        found.setdefault("equalized_odds_mean", []).append(mean(np.array(known)))
        found.setdefault("equalized_odds_ratio", []).append(min(known_ratios, default=NAN))
    scalars = {}
    for key, values in found.items():
        known = [value for value in values if not math.isnan(value)]
        scalars[key] = mean(np.array(known))
        if len(values) > 1:
            scalars[f"worst_{key}"] = (min if key.endswith("_ratio") else max)(known, default=NAN)
    return scalars


@settings(max_examples=150, deadline=None)
@given(evaluations())
def test_scalars_equal_the_naive_loop(evaluation: tuple) -> None:
    groups, *facts = evaluation
    found = {
        key: value.item()
        for key, value in fairness_scalars(joint_counts(*facts, groups), groups).items()
    }
    assert found == pytest.approx(naive(groups, *facts), abs=1e-12, nan_ok=True)


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 3))
def test_scalars_equal_fairlearn_where_every_rate_is_defined(seed: int, biases: int) -> None:
    """Where a rate is not defined fairlearn takes it for 0; here it takes part in nothing. So each
    cell holds one.
    """
    fairlearn = pytest.importorskip("fairlearn.metrics")
    generator = torch.Generator().manual_seed(seed)
    cell = torch.cartesian_prod(*(torch.arange(n) for n in (2, 2, biases)))
    more = torch.randint(len(cell), (40,), generator=generator)
    prediction, target, bias = torch.cat((cell, cell[more])).T
    found = fairness_scalars(joint_counts(prediction, target, bias, binary(biases)), binary(biases))
    facts, options = (target.numpy(), prediction.numpy()), {"sensitive_features": bias.numpy()}
    expected = {
        f"{name}_{kind}": getattr(fairlearn, f"{name}_{kind}")(*facts, **options)
        for name in ("demographic_parity", "equal_opportunity", "equalized_odds")
        for kind in ("difference", "ratio")
    }
    expected["equalized_odds_mean"] = fairlearn.equalized_odds_difference(
        *facts, agg="mean", **options
    )
    assert {key: found[key].item() for key in expected} == pytest.approx(expected, abs=1e-12)
    counts = joint_counts(prediction, target, bias, binary(biases))
    overall = confusion_rates(
        Confusion(*(part.sum(dim=1) for part in one_vs_rest(counts, binary(biases))))
    )
    to_overall = fairlearn.demographic_parity_difference(*facts, method="to_overall", **options)
    rates = group_rates(counts, binary(biases))
    assert difference_to_overall(rates.selection, overall.selection).item() == pytest.approx(
        to_overall, abs=1e-12
    )


@needs_golden
def test_rates_of_each_group_equal_fairlearn() -> None:
    case = FAIRNESS["binary_3groups_fairlearn"]
    facts = (torch.tensor(case["inputs"][key]) for key in ("pred", "target", "group"))
    counts = joint_counts(*facts, binary(3))
    rates, confusion = group_rates(counts, binary(3)), one_vs_rest(counts, binary(3))
    names = {
        "selection_rate": "selection",
        "tpr": "true_positive",
        "fpr": "false_positive",
        "ppv": "precision",
    }
    for bias, row in case["expected"]["by_group"].items():
        for name, own in {**names, "acc": "accuracy"}.items():
            assert getattr(rates, own)[0, int(bias)].item() == pytest.approx(
                row[name], abs=case["tolerance"]
            )
        assert sum(part[0, int(bias)].item() for part in confusion) == row["count"]
    for name, own in {**names, "acc": "accuracy"}.items():
        values, expected = getattr(rates, own), case["expected"]
        assert rate_difference(values).item() == pytest.approx(
            expected["difference"][name], abs=case["tolerance"]
        )
        assert rate_ratio(values).item() == pytest.approx(
            expected["ratio"][name], abs=case["tolerance"]
        )
    overall = confusion_rates(Confusion(*(part.sum(dim=1) for part in confusion)))
    found = difference_to_overall(rates.selection, overall.selection).item()
    assert found == pytest.approx(
        case["expected"]["demographic_parity_difference_to_overall"], abs=1e-9
    )


@needs_golden
def test_confusion_equals_torchmetrics_joint_fractions() -> None:
    case = FAIRNESS["binary_3groups_torchmetrics"]
    facts = (torch.tensor(case["inputs"][key]) for key in ("pred", "target", "group"))
    tp, fp, fn, tn = (
        part[0].double() for part in one_vs_rest(joint_counts(*facts, binary(3)), binary(3))
    )
    found = (torch.stack((tp, fp, tn, fn), dim=1) / (tp + fp + fn + tn)[:, None]).tolist()
    for group, row in enumerate(found):
        expected = case["expected"]["group_stat_rates_tp_fp_tn_fn"][f"group_{group}"]
        assert row == pytest.approx(expected, abs=case["tolerance"])


@needs_golden
def test_signed_differences_equal_aif360() -> None:
    case = FAIRNESS["binary_2groups_aif360"]
    facts = (torch.tensor(case["inputs"][key]) for key in ("pred", "target", "group"))
    rates = group_rates(joint_counts(*facts, binary(2)), binary(2))
    signed = {
        name: (values[0, 0] - values[0, 1]).item() for name, values in rates._asdict().items()
    }
    expected, tolerance = case["expected"], case["tolerance"]
    found = {
        "statistical_parity_difference": signed["selection"],
        "equal_opportunity_difference": signed["true_positive"],
        "average_odds_difference": (signed["true_positive"] + signed["false_positive"]) / 2,
    }
    assert found == pytest.approx({key: expected[key] for key in found}, abs=tolerance)


def test_a_single_group_is_compared_with_nothing() -> None:
    """Rates .5 alone, two zeros, and one zero beside .5."""
    rates = torch.tensor([[0.5, NAN], [0.0, 0.0], [0.0, 0.5], [NAN, NAN]], dtype=torch.float64)
    assert rate_difference(rates).tolist() == pytest.approx([NAN, 0.0, 0.5, NAN], nan_ok=True)
    assert rate_ratio(rates).tolist() == pytest.approx([NAN, NAN, 0.0, NAN], nan_ok=True)
    overall = torch.tensor([0.75, 0.0, 0.375, 0.5], dtype=torch.float64)
    assert difference_to_overall(rates, overall).tolist() == pytest.approx(
        [0.25, 0.0, 0.375, NAN], nan_ok=True
    )


def test_the_first_of_two_classes_is_the_complement() -> None:
    """Taken as three classes of which the last is never seen, classes 0 and 1 differ by as much."""
    case = worked_fairness()
    three = Groups(("0", "1", "2"), case.groups.bias_names)
    rates = group_rates(joint_counts(case.prediction, case.target, case.bias, three), three)
    found = rate_difference(rates.selection)
    assert found[:2].tolist() == pytest.approx([0.4, 0.4])
    assert outcome_names(case.groups) == case.groups.target_names[1:]
    assert outcome_names(three) == three.target_names


def test_report_holds_the_rates_by_name() -> None:
    """Of ``worked_fairness``: bias land selects 2 of 5, water 4 of 5; and of ``labels``: label b of
    bias y, 0 of 2.
    """
    case = worked_fairness()
    report = fairness_report(case.prediction, case.target, case.bias, case.groups)
    assert report["selection_rate/waterbird|land"] == 0.4
    assert report["true_positive_rate/waterbird|water"] == 0.75
    assert report["false_positive_rate/waterbird|water"] == 1.0
    assert report["precision/waterbird|land"] == 0.5
    assert report["accuracy/land"] == 0.6
    assert report["demographic_parity_ratio"] == 0.5
    assert {type(value) for value in report.values()} == {float}
    case = labels()
    report = fairness_report(case.prediction, case.target, case.bias, case.groups)
    assert report["selection_rate/b|y"] == 0.0
    assert math.isnan(report["precision/b|y"])
    assert report["accuracy/s|y"] == 0.5


def test_a_perfect_model_is_ideal() -> None:
    """Three classes, two biases, three a cell, all right: only ratios 0 to 0 are left out."""
    groups = binary(2, ("a", "b", "c"))
    counts = torch.zeros(3, 3, 3, dtype=torch.long)
    counts.diagonal(dim1=0, dim2=2)[:] = 3
    scalars = fairness_scalars(counts, groups)
    for key, value in scalars.items():
        described = reading("fairness", key)
        assert described is not None
        assert value.item() == described.ideal, key
        assert described.better == ("higher" if key.endswith("ratio") else "lower")
