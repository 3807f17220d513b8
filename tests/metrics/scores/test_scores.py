"""AUROC, average precision, Borkan's areas, F1 and calibration against scikit-learn, torchmetrics
and naive loops.
"""

import math
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import (
    average_precision_score,
    brier_score_loss,
    f1_score,
    roc_auc_score,
)
from torchmetrics.functional.classification import (
    binary_calibration_error,
    multiclass_calibration_error,
)

from debias.metrics.accuracy.counts import joint_counts
from debias.metrics.families import reading
from debias.metrics.scores.by_bias import (
    brier_by_bias,
    f1_by_bias,
    f1_scalars,
    ranking_scalars,
)
from debias.metrics.scores.calibration import (
    by_bias,
    by_group,
    decision_confidence,
    expected_calibration_error,
    maximum_calibration_error,
    positive_confidence,
    reliability,
)
from debias.metrics.scores.family import OVERALL
from debias.metrics.scores.ranking import (
    auroc,
    average_precision,
    borkan_auc,
    log_odds,
    pair_wins,
)
from debias.metrics.scores.report import (
    reliability_rows,
    scores_report,
)
from debias.types import Groups
from tests.metrics.score_cases import SCORES, binary, worked_calibration, worked_ranking

NAN = math.nan
LABELS = Groups(("not s", "s", "not b", "b"), ("x", "y"), multi_label=True)
needs_golden = pytest.mark.skipif(not SCORES, reason="golden files are not at hand")

#: Few distinct scores, so that ties are common.
ranked = st.lists(
    st.tuples(st.integers(0, 6), st.booleans(), st.integers(-1, 2)), min_size=1, max_size=40
)


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def naive_auc(positives: np.ndarray, negatives: np.ndarray) -> float:
    pairs = [(p > n) + (p == n) / 2 for p in positives for n in negatives]
    return float(np.mean(pairs)) if pairs else NAN


@settings(max_examples=150, deadline=None)
@given(ranked)
def test_areas_equal_the_pairwise_definition(samples: list) -> None:
    score, positive, bias = (torch.tensor(column) for column in zip(*samples, strict=True))
    found = borkan_auc(pair_wins(score.double(), positive, bias, biases=3))
    s, p, a = score.numpy(), positive.numpy(), bias.numpy()
    for k in range(3):
        here, elsewhere = a == k, (a >= 0) & (a != k)
        expected = (
            naive_auc(s[p & here], s[~p & here]),
            naive_auc(s[p & elsewhere], s[~p & here]),
            naive_auc(s[p & here], s[~p & elsewhere]),
        )
        assert [part[k].item() for part in found] == pytest.approx(expected, abs=1e-15, nan_ok=True)
    assert auroc(score.double(), positive).item() == pytest.approx(
        naive_auc(s[p], s[~p]), abs=1e-15, nan_ok=True
    )


@settings(max_examples=100, deadline=None)
@given(ranked)
def test_areas_and_precision_equal_scikit_learn_where_defined(samples: list) -> None:
    """It warns and gives NaN for an area of one class, and 0 for a precision without positives."""
    score, positive, _ = (torch.tensor(column) for column in zip(*samples, strict=True))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        area, precision = roc_auc_score(positive, score), average_precision_score(positive, score)
    assert auroc(score.double(), positive).item() == pytest.approx(area, abs=1e-12, nan_ok=True)
    expected = precision if positive.any() else NAN
    assert average_precision(score.double(), positive).item() == pytest.approx(
        expected, abs=1e-12, nan_ok=True
    )


def test_several_classes_equal_scikit_learn_one_vs_rest(generator: torch.Generator) -> None:
    """Bias 1 lacks class 2, so its mean over the classes is NaN; the worst is that of bias 0."""
    groups = binary(2, ("a", "b", "c"))
    probabilities = torch.rand(80, 3, generator=generator, dtype=torch.float64).softmax(dim=1)
    bias = torch.arange(80) % 2
    target = torch.randint(3, (80,), generator=generator).minimum(2 - bias)
    found = ranking_scalars(probabilities, target, bias, groups)
    inside = bias == 0
    facts = (target[inside].numpy(), probabilities[inside].numpy())
    assert found["auroc/0"].item() == pytest.approx(
        roc_auc_score(*facts, multi_class="ovr"), abs=1e-12
    )
    assert found["average_precision/0"].item() == pytest.approx(
        average_precision_score(*facts), abs=1e-12
    )
    assert math.isnan(found["auroc/1"].item())
    assert found["worst_auroc"] == found["auroc/0"]
    assert math.isnan(found["auroc_gap"].item())
    expected = roc_auc_score(target.numpy(), probabilities.numpy(), multi_class="ovr")
    assert found["auroc"].item() == pytest.approx(expected, abs=1e-12)


def test_log_odds_equal_their_definition(generator: torch.Generator) -> None:
    """Also where one class has nearly all probability, and where two tie."""
    logits = 20 * torch.randn(200, 4, generator=generator, dtype=torch.float64)
    logits[:50, 1] = logits[:50, 0]
    own = torch.eye(4, dtype=torch.bool)
    others = [logits[:, ~own[k]].logsumexp(dim=1) for k in range(4)]
    torch.testing.assert_close(
        log_odds(logits), logits - torch.stack(others, dim=1), rtol=1e-12, atol=1e-12
    )


def test_several_labels_are_averaged_where_defined() -> None:
    """Label s in bias x: .9 positive over .1; label b in bias x: no positive, so it is left out.
    Bias y: areas 0, 1.
    """
    scores = torch.tensor([[0.9, 0.5], [0.1, 0.6], [0.3, 0.8], [0.4, 0.7]])
    target = torch.tensor([[1, 0], [0, 0], [1, 1], [0, 0]])
    found = ranking_scalars(scores, target, torch.tensor([0, 0, 1, 1]), LABELS)
    expected = {
        "auroc/x": 1.0,
        "auroc/y": 0.5,
        "worst_auroc": 0.5,
        "auroc_gap": 0.5,
        "worst_outcome_auroc": 0.0,
    }
    assert {key: found[key].item() for key in expected} == expected


def test_ranking_depends_on_the_order_of_the_scores_only(generator: torch.Generator) -> None:
    scores = torch.rand(50, 2, generator=generator)
    target, bias = torch.randint(2, (2, 50), generator=generator)
    plain, bent = (
        ranking_scalars(values, target, bias, binary(2))
        for values in (scores, scores.exp() * 3 - 7)
    )
    assert {key: value.item() for key, value in plain.items()} == {
        key: value.item() for key, value in bent.items()
    }


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(*[st.integers(0, 2)] * 2, st.integers(-1, 1)), min_size=1, max_size=40),
    st.integers(2, 3),
)
def test_f1_equals_scikit_learn_with_the_labels_fixed(samples: list, classes: int) -> None:
    prediction, target, bias = (torch.tensor(column) for column in zip(*samples, strict=True))
    prediction, target = prediction.clamp(max=classes - 1), target.clamp(max=classes - 1)
    groups = binary(2, tuple("abc"[:classes]))
    counts = joint_counts(prediction, target, bias, groups)
    found = f1_by_bias(counts, groups)
    labels = list(range(classes))[-1 if classes == 2 else 0 :]
    for k in range(2):
        inside = bias == k
        facts = target[inside].numpy(), prediction[inside].numpy()
        expected = (
            f1_score(*facts, labels=labels, average=None, zero_division=0)
            if inside.any()
            else [NAN] * len(labels)
        )
        assert found[:, k].tolist() == pytest.approx(list(expected), abs=1e-12, nan_ok=True)
    everyone = f1_score(
        target.numpy(), prediction.numpy(), labels=labels, average="macro", zero_division=0
    )
    assert f1_scalars(counts, groups)["f1"].item() == pytest.approx(everyone, abs=1e-12)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 20), st.sampled_from([torch.float32, torch.float64]))
def test_calibration_errors_equal_torchmetrics(seed: int, bins: int, dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(seed)
    groups = binary(2, ("a", "b", "c"))
    probabilities = (3 * torch.randn(60, 3, generator=generator, dtype=dtype)).softmax(dim=1)
    target, bias = torch.randint(3, (60,), generator=generator), torch.arange(60) % 2
    table = by_bias(
        reliability(
            *decision_confidence(probabilities, target, groups), target, bias, groups, bins=bins
        ),
        groups,
    )
    errors = {
        "l1": expected_calibration_error,
        "max": maximum_calibration_error,
    }
    for norm, error in errors.items():
        for k in range(2):
            facts = probabilities[bias == k], target[bias == k]
            expected = multiclass_calibration_error(
                *facts, num_classes=3, n_bins=bins, norm=norm
            ).item()
            assert error(table)[0, k].item() == pytest.approx(expected, abs=1e-5)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 20), st.booleans(), st.integers(-1, 1)), min_size=1, max_size=30
    ),
    st.integers(1, 20),
)
def test_calibration_errors_equal_the_naive_loop_on_the_edges(samples: list, bins: int) -> None:
    """Probabilities in twentieths, many on an edge: bin floor(n / 20 * bins), in integers."""
    twentieths, hits, biases = zip(*samples, strict=True)
    groups = Groups(("a", "b"), ("x", "y"))
    positive = torch.tensor(twentieths, dtype=torch.float64) / 20
    target, bias = torch.tensor(hits).long(), torch.tensor(biases)
    probabilities = torch.stack((1 - positive, positive), dim=1)
    told = positive_confidence(probabilities, target, groups)
    table = by_bias(reliability(*told, target, bias, groups, bins=bins), groups)
    for k in range(2):
        of_bin: dict[int, list[tuple[float, bool]]] = {}
        for n, hit, attribute in samples:
            if attribute == k:
                of_bin.setdefault(min(n * bins // 20, bins - 1), []).append((n / 20, hit))
        distances = [
            (len(v), abs(np.mean([p for p, _ in v]) - np.mean([h for _, h in v])))
            for v in of_bin.values()
        ]
        total = sum(n for n, _ in distances)
        expected = sum(n * d for n, d in distances) / total if total else NAN
        assert expected_calibration_error(table)[0, k].item() == pytest.approx(
            expected, abs=1e-12, nan_ok=True
        )
        greatest = max((d for _, d in distances), default=NAN)
        assert maximum_calibration_error(table)[0, k].item() == pytest.approx(
            greatest, abs=1e-12, nan_ok=True
        )


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("bins", [3, 7, 10, 15, 100])
def test_a_probability_on_an_edge_goes_up_in_either_precision(
    dtype: torch.dtype, bins: int
) -> None:
    edges = torch.tensor([edge / bins for edge in range(bins + 1)], dtype=dtype)
    groups, zeros = Groups(("a", "b"), ("x",)), torch.zeros(bins + 1, dtype=torch.long)
    table = reliability(edges, zeros.bool(), zeros, zeros, groups, bins=bins)
    assert table.samples[0, 0].tolist() == [1] * (bins - 1) + [2]


@needs_golden
def test_brier_scores_equal_the_golden_values() -> None:
    case = SCORES["per_attribute_auroc_f1"]
    positive, target, bias = (
        torch.tensor(case["inputs"][key]) for key in ("prob_class1", "target", "attribute")
    )
    probabilities = torch.stack((1 - positive, positive), dim=1)
    found = brier_by_bias(probabilities, target, bias, binary(2))[0].tolist()
    assert found == pytest.approx(
        [row["brier"] for row in case["expected"]["by_attribute"].values()], abs=1e-7
    )


def test_brier_of_each_label_and_bias_equals_scikit_learn(generator: torch.Generator) -> None:
    probabilities = torch.rand(30, 2, generator=generator, dtype=torch.float64)
    target, bias = torch.randint(2, (30, 2), generator=generator), torch.arange(30) % 2
    found = brier_by_bias(probabilities, target, bias, LABELS)
    for label in range(2):
        for k in range(2):
            facts = target[bias == k, label].numpy(), probabilities[bias == k, label].numpy()
            assert found[label, k].item() == pytest.approx(brier_score_loss(*facts), abs=1e-12)


def test_the_two_binary_conventions_are_two_numbers() -> None:
    """p = .1 and .8, both of class 1, one bin: positive |.45 - 1|; decided confidence .9 and .8,
    one right: .35.
    """
    probabilities = torch.tensor([[0.9, 0.1], [0.2, 0.8]], dtype=torch.float64)
    ones, zeros = torch.tensor([1, 1]), torch.tensor([0, 0])
    found = []
    for convention in (positive_confidence, decision_confidence):
        table = reliability(
            *convention(probabilities, ones, binary(1)), ones, zeros, binary(1), bins=1
        )
        found.append(expected_calibration_error(by_bias(table, binary(1))).item())
    assert found == pytest.approx([0.55, 0.35])
    report = scores_report(probabilities, ones, zeros, binary(1), bins=1)
    assert [report["positive_ece/0"], report["ece/0"]] == pytest.approx([0.55, 0.35])


def test_labels_are_calibrated_each_by_itself() -> None:
    """Bias x, one bin: s stated .9 and .7 of which one is there, b .2 and .4 of none: .3 and .3."""
    probabilities = torch.tensor([[0.9, 0.2], [0.7, 0.4]], dtype=torch.float64)
    target, bias = torch.tensor([[1, 0], [0, 0]]), torch.tensor([0, 0])
    table = reliability(
        *positive_confidence(probabilities, target, LABELS), target, bias, LABELS, bins=1
    )
    assert expected_calibration_error(by_bias(table, LABELS))[:, 0].tolist() == pytest.approx(
        [0.3, 0.3]
    )
    of_group = expected_calibration_error(by_group(table)).tolist()
    assert of_group == pytest.approx([0.7, NAN, 0.1, NAN, 0.3, NAN, NAN, NAN], nan_ok=True)
    decided, hit = decision_confidence(probabilities, target, LABELS)
    assert decided.flatten().tolist() == pytest.approx([0.9, 0.8, 0.7, 0.6])
    assert hit.tolist() == [[True, True], [False, True]]


def test_binary_errors_equal_torchmetrics_positive_convention(generator: torch.Generator) -> None:
    positive = torch.rand(100, generator=generator)
    target = torch.randint(2, (100,), generator=generator)
    table = reliability(positive, target.bool(), target, torch.zeros_like(target), binary(1))
    expected = binary_calibration_error(positive, target).item()
    assert expected_calibration_error(by_bias(table, binary(1))).item() == pytest.approx(
        expected, abs=1e-6
    )


def test_reliability_rows_are_plain_and_name_the_group() -> None:
    """``worked_calibration`` decided: confidence .9 .7 .65 .7 .9 .95, right 1 1 0 1 1 0."""
    case = worked_calibration()
    (row,) = reliability_rows(case.prediction, case.target, case.bias, case.groups, bins=5)
    assert (row["outcome"], row["bias"], row["samples"]) == ("", "0", [0, 0, 0, 3, 3])
    assert row["confidence"] == [None, None, None, pytest.approx(2.05 / 3), pytest.approx(2.75 / 3)]
    assert row["accuracy"] == [None, None, None, pytest.approx(2 / 3), pytest.approx(2 / 3)]
    rows = reliability_rows(
        torch.tensor([[0.9, 0.2]]), torch.tensor([[1, 1]]), torch.tensor([1]), LABELS, bins=1
    )
    assert [(row["outcome"], row["bias"], row["samples"]) for row in rows] == [
        ("s", "x", [0]), ("s", "y", [1]), ("b", "x", [0]), ("b", "y", [1]),
    ]  # fmt: skip
    assert rows[3]["confidence"] == [pytest.approx(0.2)]
    assert rows[3]["accuracy"] == [1.0]


def test_reports_are_plain(generator: torch.Generator) -> None:
    for groups in (binary(2), binary(2, ("a", "b", "c")), LABELS):
        probabilities = torch.rand(40, groups.outputs, generator=generator)
        shape = (40, groups.outputs) if groups.multi_label else (40,)
        target = torch.randint(2 if groups.multi_label else groups.rows, shape, generator=generator)
        bias = torch.randint(-1, 2, (40,), generator=generator)
        report = scores_report(probabilities, target, bias, groups)
        assert {type(value) for value in report.values()} == {float}
        assert report[f"samples/{groups.bias_names[0]}"] == int((bias == 0).sum())


def test_without_any_known_bias_the_numbers_over_all_images_stay(
    generator: torch.Generator,
) -> None:
    """They are those of the same images with a bias; the curve is that of one value for all."""
    for groups in (binary(2), Groups(("a", "b", "c"), ("x", "y"))):
        probabilities = torch.rand(40, groups.rows, generator=generator).double().softmax(dim=1)
        target = torch.randint(groups.rows, (40,), generator=generator)
        bias = torch.randint(2, (40,), generator=generator)
        known = scores_report(probabilities, target, bias, groups)
        found = scores_report(probabilities, target, torch.full_like(bias, -1), groups)
        assert set(found) == {*OVERALL} & set(known)
        assert found == {key: known[key] for key in found}
        assert not any(math.isnan(value) for value in found.values())
        (row,) = reliability_rows(probabilities, target, torch.full_like(bias, -1), groups)
        one = Groups(groups.target_names, ("all images",))
        assert [row] == reliability_rows(probabilities, target, torch.zeros_like(bias), one)
        expected = (
            (probabilities - torch.nn.functional.one_hot(target, groups.rows))
            .square()
            .mean()
            .item()
        )
        assert found["brier"] == pytest.approx(expected)


def test_a_perfect_and_certain_model_reaches_every_ideal() -> None:
    """Both classes in both biases, each score 0 or 1 and right."""
    target, bias = torch.tensor([0, 1, 0, 1]), torch.tensor([0, 0, 1, 1])
    report = scores_report(torch.nn.functional.one_hot(target).double(), target, bias, binary(2))
    found = {key: value for key, value in report.items() if not key.startswith("samples/")}
    for key, value in found.items():
        text = reading("scores", key)
        assert text is not None
        assert value == text.ideal


def test_scores_and_facts_that_cannot_be_are_refused() -> None:
    case = worked_ranking()
    broken = case.prediction.clone()
    broken[0, 1] = NAN
    with pytest.raises(ValueError, match="scores hold NaN"):
        ranking_scalars(broken, case.target, case.bias, case.groups)
    with pytest.raises(ValueError, match=r"bias must lie in \[-1, 2\); got 2"):
        ranking_scalars(case.prediction, case.target, case.bias + 1, case.groups)
    with pytest.raises(ValueError, match=r"target must lie in \[0, 2\); got 2"):
        reliability_rows(case.prediction, case.target + 1, case.bias, case.groups)
    with pytest.raises(ValueError, match=r"outside \[0, 1\]: apply softmax"):
        scores_report(case.prediction * 3, case.target, case.bias, case.groups)
    with pytest.raises(ValueError, match="3 classes have no positive one"):
        positive_confidence(torch.zeros(1, 3), torch.tensor([0]), binary(1, ("a", "b", "c")))
