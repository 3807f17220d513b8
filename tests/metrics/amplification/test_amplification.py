"""Bias amplification from counts: other people's numbers, hand-derived ones, undefined ones."""

import math

import pytest
import torch
from torch import Tensor

from debias.metrics.amplification.counts import (
    CoOccurrence,
    co_occurrence,
    frequency_co_occurrence,
    one_hot,
)
from debias.metrics.amplification.formulas import (
    association,
    attribute_to_task,
    mals,
    mals_mean,
    share_amplification,
    share_bias,
    summarise,
    task_change,
    task_to_attribute,
)
from debias.metrics.amplification.report import amplification_report, multi_attribute_report
from debias.types import Groups
from tests.metrics.amplification_cases import (
    GOLDEN_CASES,
    WORKED_BACK,
    every_case,
    indicator_cases,
    inputs,
    worked,
)

needs_golden = pytest.mark.skipif(not GOLDEN_CASES, reason="golden files are not at hand")


def exclusive(both: list[list[float]]) -> CoOccurrence:
    """Counts where each sample has one task and one attribute."""
    table = torch.tensor(both)
    return CoOccurrence(table, table.sum(dim=1), table.sum(dim=0), table.sum())


@needs_golden
def test_every_golden_case_is_tested() -> None:
    here = {
        "directional_counts_api",
        "paint_example_wang2021",
        "kernerlab_library_values",
        "multi_attribute_mals_sony",  # in test_amplification_sets
    }
    there = {case.name for case in every_case()} | set(indicator_cases())
    assert set(GOLDEN_CASES) <= here | there


@pytest.mark.parametrize("name", indicator_cases())
def test_indicators_give_the_published_numbers(name: str) -> None:
    case = indicator_cases()[name]
    found = {key: case.found[key].item() for key in case.expected}
    assert found == pytest.approx(dict(case.expected), abs=1e-9, rel=0, nan_ok=True)


@needs_golden
def test_paintings_of_wang_and_russakovsky() -> None:
    record = GOLDEN_CASES["paint_example_wang2021"]
    labels = exclusive(record["inputs"]["bog_tilde"])
    for expected in record["expected"]:
        predicted = exclusive(expected["pred"])._replace(attribute=labels.attribute)
        found = [
            summarise(attribute_to_task(predicted, labels)).mean,
            mals_mean(mals(predicted, labels)),
        ]
        assert [value.item() for value in found] == pytest.approx(
            [expected["A_to_T"], expected["BiasAmp_MALS"]], abs=1e-9
        )


@needs_golden
def test_counts_of_wang_and_russakovsky() -> None:
    record = GOLDEN_CASES["directional_counts_api"]
    given, found = inputs("directional_counts_api"), record["expected"]

    def counts(both: Tensor, train: str = "") -> CoOccurrence:
        facts = (
            inputs("mals_zhao2017_counts")[f"task_labels{train}"].sum(dim=0),
            given[f"num_attributes{train}"],
        )
        return CoOccurrence(both, *facts, given[f"total_images{train}"])

    labels, train = counts(given["bog_tilde"]), counts(given["bog_tilde_train"], "_train")
    there = attribute_to_task(counts(given["bog_gt_g"]), labels, train)
    back = task_to_attribute(counts(given["bog_gt_o"]), labels, train)
    assert summarise(there).mean.item() == pytest.approx(found["A_to_T"], abs=1e-9)
    assert summarise(back).mean.item() == pytest.approx(found["T_to_A"], abs=1e-9)


@needs_golden
def test_where_the_bias_amplification_package_differs() -> None:
    """Its direction from the task agrees; the other one is ours over P(t | a) normalised over
    tasks, ties as losses.
    """
    given = inputs("kernerlab_library_values")
    found = GOLDEN_CASES["kernerlab_library_values"]["expected"]
    labels = co_occurrence(given["task_labels"], given["attr_labels"])
    back = task_to_attribute(
        co_occurrence(given["task_labels"], given["attr_preds"]), labels, tie=-1
    )
    assert summarise(back).mean.item() == pytest.approx(found["DBA_TtoA"], abs=1e-5)
    predicted = co_occurrence(given["task_preds"], given["attr_labels"])
    over_tasks = [part._replace(attribute=part.both.sum(dim=0)) for part in (predicted, labels)]
    theirs = association(labels, tie=-1) * task_change(*over_tasks)
    assert theirs.mean().item() == pytest.approx(found["DBA_AtoT"], abs=1e-5)
    assert summarise(attribute_to_task(predicted, labels)).mean.item() != pytest.approx(
        found["DBA_AtoT"], abs=1e-2
    )


def test_ties_are_exact_and_count_as_told() -> None:
    """Of 15, 5 have task 0, 9 attribute 0, 3 both: 5/15 * 9/15 = 3/15, but not in float64."""
    labels = exclusive([[3, 2], [6, 4]])
    assert 5 / 15 * (9 / 15) != 3 / 15
    assert association(labels).tolist() == [[0, 0], [0, 0]]
    assert association(labels, tie=-1).tolist() == [[-1, -1], [-1, -1]]
    assert association(exclusive([[3, 1], [1, 3]])).tolist() == [[1, -1], [-1, 1]]
    assert association(exclusive([[0, 0], [0, 0]])).isnan().all()
    with pytest.raises(ValueError, match="tie must be 0"):
        association(labels, tie=1)


def test_a_tie_adds_nothing_and_stays_in_the_mean() -> None:
    """Tasks overlap: 4 images per attribute. Task 0 in 2 and 2 (a tie), predicted 3 and 2; task 1
    in 3 and 1, predicted 4 and 1. D = 1/4, 0, 1/4, 0; signs 0 0 + -: mean (0 + 0 + 1/4 - 0) / 4;
    with ties as losses (-1/4 + 1/4) / 4 = 0.
    """
    labels = CoOccurrence(*map(torch.tensor, ([[2, 2], [3, 1]], [4, 4], [4, 4], 8)))
    predicted = CoOccurrence(*map(torch.tensor, ([[3, 2], [4, 1]], [5, 5], [4, 4], 8)))
    assert summarise(attribute_to_task(predicted, labels)).mean == 1 / 16
    assert summarise(attribute_to_task(predicted, labels, tie=-1)).mean == 0


def test_the_baseline_may_be_the_training_labels() -> None:
    """Against test shares 3/4 the prediction 1 grew by 1/4, against training shares 1/2 and 7/8 by
    1/2 and 1/8.
    """
    test, predicted = exclusive([[3, 1], [1, 3]]), exclusive([[4, 0], [0, 4]])
    train = exclusive([[4, 1], [4, 7]])
    assert summarise(attribute_to_task(predicted, test, train)).mean == 0.25
    assert attribute_to_task(predicted, train).tolist() == [[0.5, 0.125], [0.5, 0.125]]


def test_training_labels_turn_the_sign_but_not_for_hall() -> None:
    """The worked case; in training the pairs go the other way round, shares start from 1/4.

    MALS: the pairs (0, 1) and (1, 0) have 3/4 in training and 0 among predictions: (-3/4 - 3/4) /
    2.
    """
    groups = Groups(("cook", "drive"), ("woman", "man"))
    report = amplification_report(
        *worked().facts[:3], groups, train_frequencies=torch.tensor([1, 3, 3, 1])
    )
    assert report["amplification/attribute_to_task"] == -0.25
    assert report["amplification/attribute_to_task_hall"] == 0.25
    assert report["amplification/mals_attribute_to_task"] == -0.75
    assert report["amplification/share_amplification"] == 0.75


def test_rows_without_task_and_attribute_do_not_count_as_samples() -> None:
    """Of 4 rows one has neither: P(t, a) = 1/3 and P(t) P(a) = 2/3 * 2/3; with it 1/4 = 2/4 * 2/4
    would be a tie.
    """
    task, attribute = torch.tensor([[1], [1], [0], [0]]), torch.tensor([[1], [0], [1], [0]])
    labels = co_occurrence(task, attribute)
    assert labels.samples == 3
    assert association(labels).tolist() == [[-1]]


def test_a_task_never_predicted_adds_nothing_to_mals_and_is_counted() -> None:
    """Shares 3/4 of three tasks; predicted 4 of 4, 4 of 5, none: (1/4 + 1/20 + nothing) / 3."""
    labels, predicted = exclusive([[3, 1], [3, 1], [1, 3]]), exclusive([[4, 0], [4, 1], [0, 0]])
    table = mals(predicted, labels)
    assert table[2].tolist() == pytest.approx([0.0, math.nan], nan_ok=True)
    assert mals_mean(table).item() == pytest.approx(0.1, abs=1e-12)
    assert mals_mean(mals(exclusive([[0, 0]] * 3), labels)).isnan()
    assert mals_mean(mals(predicted, exclusive([[2, 2]] * 3))) == 0


def test_shares_of_a_class_never_predicted() -> None:
    """Shares 3/4, 1/4 and, never predicted, 0, 0: |.| to 1/2 are 1/4, 1/4, 1/2, 1/2, mean 3/8.

    To labels of shares 1/2, 1/2 and 1, 0: 1/4, 1/4, 1, 0, mean 3/8.
    """
    predicted, nothing = exclusive([[3, 1], [0, 0]]), exclusive([[0, 0], [0, 0]])
    assert share_bias(predicted) == 0.375
    assert share_amplification(predicted, exclusive([[5, 5], [2, 0]])) == 0.375
    assert share_bias(nothing).isnan()
    assert share_amplification(predicted, nothing).isnan()
    assert share_amplification(nothing, predicted).isnan()


def test_perfect_predictions_amplify_nothing() -> None:
    _, t, a, _ = worked().facts
    groups = Groups(("cook", "drive"), ("woman", "man"))
    report = amplification_report(t, t, a, groups, predicted_bias=a)
    assert report.pop("amplification/share_bias") == 0.25  # the labels' own: shares 3/4
    assert set(report.values()) == {0.0}


def test_the_report_agrees_with_the_metric() -> None:
    case = worked()
    groups = Groups(("cook", "drive"), ("woman", "man"))
    report = amplification_report(*case.facts[:3], groups, predicted_bias=case.facts[3])
    assert report == pytest.approx({**case.expected, **WORKED_BACK}, abs=1e-12)
    labels = Groups(("no0", "yes0", "no1", "yes1"), ("woman", "man"), multi_label=True)
    task, bias = torch.tensor([[1, 0], [1, 1], [0, 1]]), torch.tensor([0, 1, 1])
    more = multi_attribute_report(
        task, task, bias, labels, train_target=task, train_bias=bias, predicted_bias=bias
    )
    assert set(more.values()) == {0.0}


def test_training_frequencies_are_the_counts_of_the_training_labels() -> None:
    generator = torch.Generator().manual_seed(0)
    bias = torch.randint(-1, 3, (50,), generator=generator)
    classes = torch.randint(4, (50,), generator=generator)
    labels = torch.randint(2, (50, 2), generator=generator)
    for target, task, multi in ((classes, one_hot(classes, 4), False), (labels, labels, True)):
        groups = Groups(tuple("abcd"), ("x", "y", "z"), multi_label=multi)
        found = frequency_co_occurrence(groups.frequencies(target, bias), groups)
        for mine, expected in zip(found, co_occurrence(task, one_hot(bias, 3)), strict=True):
            assert mine.tolist() == expected.tolist()


def test_several_attribute_columns_are_joined() -> None:
    """Two binary columns side by side: the mean over all pairs is the mean of the means of each."""
    generator = torch.Generator().manual_seed(1)
    first, second = torch.randint(2, (2, 60), generator=generator)
    task, predicted = torch.randint(2, (2, 60, 3), generator=generator)

    def amplification(attribute: Tensor) -> float:
        counts = [co_occurrence(matrix, attribute) for matrix in (predicted, task)]
        return summarise(attribute_to_task(*counts)).mean.item()

    columns = [one_hot(first, 2), one_hot(second, 2)]
    apart = sum(amplification(column) for column in columns) / 2
    assert amplification(torch.cat(columns, dim=1)) == pytest.approx(apart, abs=1e-12)


def test_what_is_not_an_indicator_is_refused() -> None:
    good = torch.tensor([[1, 0]])
    for bad in (good[0], good.double(), 2 * good, -good):
        with pytest.raises(ValueError, match="task must be an integer matrix"):
            co_occurrence(bad, good)
    with pytest.raises(ValueError, match="attribute must be an integer matrix"):
        co_occurrence(good, 2 * good)
    with pytest.raises(ValueError, match="one row per sample"):
        co_occurrence(good, good.repeat(2, 1))
    with pytest.raises(ValueError, match=r"integers in \[-1, 2\)"):
        one_hot(torch.tensor([2]), 2)
    assert one_hot(torch.tensor([1, -1]), 2).tolist() == [[0, 1], [-1, -1]]
