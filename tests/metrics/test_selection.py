"""Selection rules: which epoch wins, and what is refused."""

import math

import pytest
import torch

from debias.metrics.accuracy.scalars import group_scalars
from debias.metrics.selection import AUTO, RULES, best_epoch, best_epochs, chosen_rule
from debias.types import Groups

# the worst group is best in epoch 2, the worst class in 1, the average in 0, the balanced one in 3;
# classes are nearest in 4, and farthest in 1
HISTORY = [
    {
        "worst_group": 0.1,
        "worst_class": 0.7,
        "average": 0.97,
        "group_balanced": 0.60,
        "class_difference": 0.10,
    },
    {
        "worst_group": 0.5,
        "worst_class": 0.9,
        "average": 0.95,
        "group_balanced": 0.70,
        "class_difference": 0.40,
    },
    {
        "worst_group": 0.7,
        "worst_class": 0.8,
        "average": 0.93,
        "group_balanced": 0.80,
        "class_difference": 0.20,
    },
    {
        "worst_group": 0.6,
        "worst_class": 0.8,
        "average": 0.90,
        "group_balanced": 0.85,
        "class_difference": 0.30,
    },
    {
        "worst_group": 0.2,
        "worst_class": 0.3,
        "average": 0.30,
        "group_balanced": 0.31,
        "class_difference": 0.05,
    },
]


def test_each_rule_reads_its_own_scalar() -> None:
    expected = {
        "worst_group": 2,
        "worst_class": 1,
        "average": 0,
        "balanced": 3,
        "class_difference": 4,
        "last": 4,
    }
    assert best_epochs(HISTORY) == expected
    assert {rule: best_epoch(HISTORY, rule) for rule in RULES} == best_epochs(HISTORY)


def test_the_last_epoch_is_taken_whatever_its_value() -> None:
    """Of 0.9, 0.2, 0.1 the third; an epoch of a warm-up, without metrics, is none to take."""
    history: list[dict[str, float | None]] = [{"average": value} for value in (0.9, 0.2, 0.1)]
    assert best_epoch(history, "last") == best_epochs(history)["last"] == 2
    assert best_epoch([*history, {}], "last") == 2
    with pytest.raises(ValueError, match="none of 1 epochs"):
        best_epoch([{}], "last")


def test_rules_read_scalars_that_exist_without_training_frequencies_or_aligned_pairs() -> None:
    scalars = group_scalars(torch.ones(2, 3, 2, dtype=torch.long), Groups(("a", "b"), ("x", "y")))
    assert set(RULES.values()) <= set(scalars)


def test_auto_follows_from_the_labels_of_validation_and_a_named_rule_stays() -> None:
    assert [chosen_rule(AUTO, labelled=labelled) for labelled in (True, False)] == [
        "worst_group",
        "worst_class",
    ]
    assert [chosen_rule(rule, labelled=False) for rule in RULES] == list(RULES)


def test_of_equal_epochs_the_earlier_wins() -> None:
    history = [{"average": value} for value in (0.2, 0.8, 0.8, 0.5)]
    assert best_epoch(history, "average") == 1
    history = [{"class_difference": value} for value in (0.8, 0.2, 0.2, 0.5)]
    assert best_epoch(history, "class_difference") == 1
    # also where it is perfect: minus zero is no better than zero
    assert (
        best_epoch([{"class_difference": 0.0}, {"class_difference": -0.0}], "class_difference") == 0
    )


@pytest.mark.parametrize("undefined", [math.nan, None])
def test_an_undefined_value_never_wins(undefined: float | None) -> None:
    history = [{"worst_group": undefined}, {"worst_group": 0.0}, {"worst_group": undefined}]
    assert best_epoch(history, "worst_group") == 1
    history = [
        {"class_difference": undefined},
        {"class_difference": 1.0},
        {"class_difference": undefined},
    ]
    assert best_epoch(history, "class_difference") == 1


def test_a_history_from_before_a_rule_was_there_lacks_its_scalar() -> None:
    """As of a run that an earlier version began, and this one went on with."""
    assert best_epochs([{"average": 0.5}, {"average": 0.4}]) == {"average": 0, "last": 1}
    assert best_epochs([{"average": 0.5}, {"average": 0.4, "class_difference": 0.3}]) == {
        "average": 0,
        "class_difference": 1,
        "last": 1,
    }


def test_a_rule_without_values_is_refused_and_left_out() -> None:
    history = [{"worst_group": math.nan, "group_balanced": None, "average": 0.5}]
    with pytest.raises(
        ValueError,
        match=(
            "worst_group is defined in none of 1 epochs; select by worst_class or average or "
            "class_diff"
        ),
    ):
        best_epoch(history, "worst_group")
    assert best_epochs(history) == {"average": 0, "last": 0}
    with pytest.raises(ValueError, match="none of 0 epochs"):
        best_epoch([], "average")


def test_an_unknown_rule_names_the_known_ones() -> None:
    with pytest.raises(
        ValueError,
        match="'worst': choose one of worst_group, worst_class, average, balanced, class_",
    ):
        best_epoch(HISTORY, "worst")
