"""Multi-attribute amplification: label sets, their counts, and the published numbers."""

import pytest
import torch

from debias.metrics.amplification.counts import (
    CoOccurrence,
    contains,
    label_sets,
    observed_sets,
    set_co_occurrence,
)
from debias.metrics.amplification.formulas import (
    group_to_sets,
    mals,
    multi_mals,
    sets_to_group,
    summarise,
)
from tests.metrics.amplification_cases import GOLDEN_CASES, inputs

needs_golden = pytest.mark.skipif(not GOLDEN_CASES, reason="golden files are not at hand")


@needs_golden
@pytest.mark.parametrize(
    "name", ["multi_attribute_directional_sony", "multi_attribute_only_sets_of_two_or_more"]
)
def test_the_sets_are_those_of_the_released_code(name: str) -> None:
    """Of which its list holds those that occur in the test set as well."""
    given, params = inputs(name), GOLDEN_CASES[name]["params"]
    least = params.get("thresh", 0)
    sets = label_sets(given["task_labels_train"], min_size=params.get("k", 1), more_than=least)
    seen = contains(given["task_labels"], sets).sum(dim=0) > least
    assert sorted(row.nonzero().flatten().tolist() for row in sets[seen]) == sorted(
        params["attribute_sets"]
    )


@needs_golden
def test_multi_mals_of_the_released_code() -> None:
    """It was run with a third group that is always empty: zeros that its variance counts."""
    given = inputs("multi_attribute_mals_sony")
    found = GOLDEN_CASES["multi_attribute_mals_sony"]["expected"]
    sets = label_sets(given["task_labels_train"])
    sets = sets[contains(given["task_labels"], sets).any(dim=0)]
    train = set_co_occurrence(given["task_labels_train"], given["attr_labels_train"], sets)
    predicted = set_co_occurrence(given["task_preds"], given["attr_preds"], sets)
    scalars = multi_mals(predicted, train)
    assert scalars.magnitude.item() == pytest.approx(found["abs_mean_var"][0], abs=1e-9)
    assert scalars.mean.item() == pytest.approx(found["signed_mean_var"][0], abs=1e-9)
    table = mals(predicted, train)
    assert scalars.variance == summarise(table).variance
    wider = summarise(torch.cat((table, torch.zeros(len(table), 1)), dim=1))
    assert wider.variance.item() == pytest.approx(found["abs_mean_var"][1], abs=1e-9)


def test_sets_are_exact_and_images_contain_them() -> None:
    """{0}, {0, 1} twice, the empty set; image {0, 1} contains both sets, {1} neither."""
    train = torch.tensor([[1, 0], [1, 1], [1, 1], [0, 0]])
    assert label_sets(train).tolist() == [[1, 0], [1, 1]]
    assert label_sets(train, min_size=2).tolist() == [[1, 1]]
    assert label_sets(train, more_than=1).tolist() == [[1, 1]]
    assert contains(torch.tensor([[1, 1], [0, 1]]), label_sets(train)).tolist() == [[1, 1], [0, 0]]
    with pytest.raises(ValueError, match="min_size must be at least 1"):
        label_sets(train, min_size=0)


def test_samples_have_any_label_though_no_set() -> None:
    """Rows: the set; one label of it; the attribute alone; nothing."""
    task = torch.tensor([[1, 1], [0, 1], [0, 0], [0, 0]])
    attribute = torch.tensor([[1], [0], [1], [0]])
    counts = set_co_occurrence(task, attribute, torch.tensor([[1, 1]]))
    assert [part.tolist() for part in counts] == [[[1]], [1], [2], 3]


def test_directions_are_means_of_magnitudes() -> None:
    """Of 4 per group, m occurs in 2 and 1, predicted 3 and 0: D = 1/4 and -1/4; m goes with group
    0: signs +, -.

    Magnitude 1/4, signed (1/4 + 1/4) / 2, variance of 1/4 and -1/4: 1/16. Backwards, of 3 images
    with m, 2 and 1 are of the groups and 1 and 2 are predicted so: D = -1/3 and 1/3.
    """
    labels = CoOccurrence(*map(torch.tensor, ([[2, 1]], [3], [4, 4], 8)))
    there = group_to_sets(CoOccurrence(*map(torch.tensor, ([[3, 0]], [3], [4, 4], 8))), labels)
    assert [value.item() for value in there] == [0.25, 0.25, 0.0625]
    back = sets_to_group(CoOccurrence(*map(torch.tensor, ([[1, 2]], [3], [3, 5], 8))), labels)
    assert [value.item() for value in back] == pytest.approx([-1 / 3, 1 / 3, 1 / 9], abs=1e-12)


def test_a_tie_has_a_magnitude_and_no_sign() -> None:
    labels = CoOccurrence(*map(torch.tensor, ([[2, 2]], [4], [4, 4], 8)))
    found = group_to_sets(CoOccurrence(*map(torch.tensor, ([[4, 2]], [6], [4, 4], 8))), labels)
    assert [value.item() for value in found] == [0.0, 0.25, 0.0625]


def test_sets_that_the_test_set_lacks_are_left_out() -> None:
    """Three images hold label 0, and one label 1, whose attribute is unknown."""
    task = torch.tensor([[1, 0], [1, 0], [1, 0], [0, 1]])
    attribute = torch.tensor([[1, 0], [1, 0], [0, 1], [-1, -1]])
    sets = torch.tensor([[1, 0], [0, 1]])
    assert observed_sets(sets, task, attribute).tolist() == [[1, 0]]
    none = set_co_occurrence(task, attribute, observed_sets(sets, task, attribute, more_than=3))
    assert none.task.tolist() == []
    assert all(value.isnan() for value in group_to_sets(none, none))
    assert all(value.isnan() for value in multi_mals(none, none))
