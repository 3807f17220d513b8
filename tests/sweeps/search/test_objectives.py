"""Objectives by hand from small histories, and the Pareto front."""

import random

import pytest

from debias.json_files import typed
from debias.reports.record import Selection
from debias.sweeps.search.objectives import (
    OBJECTIVES,
    check_objectives,
    dominated_share,
    of_history,
    of_selection,
    pareto_front,
)

#: Three epochs: the average is best in the last, the worst group in the second, and classes are
#: nearest in the first.
NAMES = (
    "average",
    "worst_group",
    "robustness_gap",
    "worst_class",
    "group_balanced",
    "class_difference",
)
EPOCHS = [
    {"val": dict(zip(NAMES, values, strict=True))}
    for values in (
        (0.6, 0.2, 0.4, 0.5, 0.55, 0.1),
        (0.7, 0.5, 0.2, 0.6, 0.65, 0.2),
        (0.9, 0.3, 0.6, 0.7, 0.6, 0.3),
    )
]


@pytest.mark.parametrize(
    ("name", "rule", "value"),
    [
        ("worst_group", "worst_group", 0.5),
        ("worst_group", "average", 0.3),
        ("average", "worst_group", 0.7),
        ("worst_group_gap", "worst_group", 0.2),
        ("worst_group_gap", "average", 0.6),
        ("worst_class", "average", 0.7),
        ("balanced", "worst_class", 0.6),
        ("worst_group", "class_difference", 0.2),
        ("class_difference", "worst_group", 0.2),
        ("average", "auto", 0.7),
    ],
)
def test_at_the_epoch_that_the_run_selects(name, rule, value):
    """From the history, and from the report that the run would write of it."""
    assert of_history(name, EPOCHS, rule) == value
    row = {
        "rule": rule,
        "epoch": 0,
        "val": next(entry["val"] for entry in EPOCHS if of_history(name, [entry], rule) == value),
    }
    other = {"rule": "other", "epoch": 1, "val": {}}
    selection = typed(Selection, {"rule": rule, "epoch": 0, "table": [other, row]})
    assert of_selection(name, selection) == value


def test_auto_selection_without_any_known_group():
    """The worst class is best in the last epoch."""
    unlabelled = [{"val": entry["val"] | {"worst_group": None}} for entry in EPOCHS]
    assert of_history("average", unlabelled, "auto") == 0.9


def test_undefined():
    assert of_history("worst_group", [{"val": {"worst_group": None}}], "worst_group") is None
    assert (
        of_history(
            "worst_group", [{"val": {"average": 0.5, "worst_group": float("nan")}}], "average"
        )
        is None
    )
    assert of_history("worst_group", EPOCHS[:1], "worst_group") == 0.2


def test_front_by_hand():
    """(average up, gap down): the second beats the third in both; the first and the second trade
    one for the other.
    """
    values = [[0.9, 0.5], [0.8, 0.2], [0.7, 0.3], [0.9, 0.6]]
    assert pareto_front(values, ["average", "worst_group_gap"]) == [0, 1]
    assert pareto_front([], ["average"]) == []


def test_one_objective_takes_the_first_of_the_best():
    assert pareto_front([[0.1], [0.3], [0.3], [0.2]], ["worst_group"]) == [1]
    assert pareto_front([[0.1], [0.3], [0.1], [0.2]], ["worst_group_gap"]) == [0]
    assert pareto_front([[0.3], [0.1], [0.1], [0.2]], ["class_difference"]) == [1]


def test_the_share_that_a_front_dominates():
    """Average 0.8 at gap 0.2, and 0.9 at gap 0.5: 0.8 x 0.8 + (0.9 - 0.8) x 0.5. More is better in
    the first, less in the second.
    """
    names, values = ["average", "worst_group_gap"], [[0.8, 0.2], [0.9, 0.5], [0.7, 0.6]]
    assert dominated_share(values, names) == pytest.approx(0.8 * 0.8 + 0.1 * 0.5)
    assert dominated_share([[1, 0]], names) == 1
    assert dominated_share([[0, 0.5], [0.5, 1]], names) == 0
    assert dominated_share([], names) == 0


def test_front_against_the_definition():
    """A point is kept exactly if none is as good everywhere, better somewhere, in other words."""
    generator = random.Random(0)
    names = ["worst_group", "worst_group_gap", "average"]
    for _ in range(50):
        values = [[generator.randrange(5) / 4 for _ in names] for _ in range(20)]
        gains = [(row[0], -row[1], row[2]) for row in values]
        distinct = sorted(set(gains))
        best = {
            point
            for point in distinct
            if not any(
                all(y >= x for x, y in zip(point, other, strict=True))
                for other in distinct
                if other != point
            )
        }
        expected = [
            place for place, gain in enumerate(gains) if gain in best and gains.index(gain) == place
        ]
        assert pareto_front(values, names) == expected


@pytest.mark.parametrize(
    ("names", "labels", "message"),
    [
        (
            ["worst_group"],
            "validation_groups_unknown",
            "worst_group reads group labels of validation.* worst_class or",
        ),
        (["average", "balanced"], "validation_groups_unknown", "balanced reads group labels"),
        (
            ["adjusted_average"],
            "validation_groups_known",
            "adjusted_average reads group labels of training, which labels=validation_groups_known",
        ),
        (
            ["adjusted_average"],
            "validation_groups_unknown",
            "reads group labels of training and validation, .* Choose worst_class or average or",
        ),
        (
            ["test_worst_group"],
            "training_groups_known",
            "got test_worst_group. Only the runs of the final seeds read the test split",
        ),
        (
            ["test/average"],
            "validation_groups_unknown",
            "the test split. Choose worst_class or average",
        ),
        (
            ["worst_groups"],
            "validation_groups_known",
            "unknown objective 'worst_groups'; did you mean 'worst_group'",
        ),
        ([], "validation_groups_known", "must name each objective once"),
        (["average", "average"], "validation_groups_known", "must name each objective once"),
        (["average"], "groups_known", "unknown protocol labels='groups_known'; did you mean"),
    ],
)
def test_refused(names, labels, message):
    with pytest.raises(ValueError, match=message):
        check_objectives(names, labels)


def test_allowed():
    check_objectives(["worst_class", "average", "class_difference"], "validation_groups_unknown")
    known = [name for name in OBJECTIVES if name != "adjusted_average"]
    check_objectives(known, "validation_groups_known")
    check_objectives(list(OBJECTIVES), "training_groups_known")
