"""Evaluation sets with known bias amplification, and the naive definitions to compare with."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import partial

import torch
from torch import Tensor
from torchmetrics import Metric

from debias.metrics.amplification.counts import (
    CoOccurrence,
    CoOccurrences,
    co_occurrence,
    label_sets,
    observed_sets,
    set_co_occurrence,
)
from debias.metrics.amplification.report import amplification_scalars, pair_scalars, set_scalars
from debias.metrics.exact_metrics import GroupCounts
from debias.types import Groups
from tests.metrics.golden_cases import golden_file
from tests.metrics.handed import Handed

GOLDEN_CASES = golden_file("bias_amplification.json")

BiasAmplification = partial(GroupCounts, read=amplification_scalars)


@dataclass(frozen=True)
class Case(Handed):
    """A metric, one evaluation set (prediction, target, bias and perhaps predicted bias; rows are
    samples), and the scalars that it must give.
    """

    name: str
    make: Callable[[], Metric]
    facts: tuple[Tensor, ...]
    expected: Mapping[str, float]
    tolerance: float = 1e-9

    def feed(self, metric: Metric, rows: Tensor) -> None:
        metric.update(*(fact[rows] for fact in self.facts[:3]))

    def parts(self) -> Tensor:
        """The attribute."""
        return self.facts[2]


def inputs(name: str) -> dict[str, Tensor]:
    record = GOLDEN_CASES[name]["inputs"]
    return {key: torch.tensor(value) for key, value in record.get("raw", record).items()}


def every_case() -> list[Case]:
    """A hand-derived case, then those of the golden file where it is at hand."""
    builders = {
        "tie_balanced_data": _classes,
        "single_label_three_way_agreement": _classes,
        "cifar10s_mean_class_bias_wang2020": _cifar,
        "celeba_mean_absolute_bias_amplification_wang2020": _celeba,
    }
    return [worked(), *(build(name) for name, build in builders.items() if name in GOLDEN_CASES)]


@dataclass(frozen=True)
class Indicators:
    """The scalars that columns of indicators give, and those that they must give."""

    found: Mapping[str, Tensor]
    expected: Mapping[str, float]


def indicator_cases() -> dict[str, Indicators]:
    """Cases of the golden file with several tasks and attributes, where it is at hand."""
    builders = {
        "directional_multilabel_with_train_indicator": _directional,
        "directional_multilabel_test_labels_as_indicator": _directional,
        "directional_single_attribute_column": _directional,
        "mals_zhao2017_counts": _mals,
        "multi_attribute_directional_sony": _sets,
        "multi_attribute_only_sets_of_two_or_more": _sets,
    }
    return {name: build(name) for name, build in builders.items() if name in GOLDEN_CASES}


def worked() -> Case:
    """metrics.md 4.5: a=00001111, t=00011110, predictions t' = a and a' = t, two classes, the test
    labels as baseline.

    Class 0 holds images 0-2 and 7: three with a=0, one with a=1; class 1 the reverse. So (0,0) and
    (1,1) go together, P(t=0|a=0) = 3/4 becomes 1, and D = y * 1/4 in all four pairs: mean 1/4,
    variance 0; by symmetry so it is from task to attribute. Shares are 3/4 and 1/4, even is 1/2:
    with t' = a each component grows from 3/4 to 1, for two pairs of two tasks: 1/4. With t' and a'
    together, image by image, t' = 0 in 0-3 where a' = 0 0 0 1: unchanged, 0.
    """
    a, t = (torch.tensor([int(digit) for digit in digits]) for digits in ("00001111", "00011110"))
    groups = Groups(("cook", "drive"), ("woman", "man"))
    directed = {"": 0.25, "_magnitude": 0.25, "_variance": 0.0}
    expected = {
        **{f"amplification/attribute_to_task{end}": value for end, value in directed.items()},
        "amplification/attribute_to_task_hall": 0.25,
        "amplification/mals_attribute_to_task": 0.25,
        "amplification/share_bias": 0.5,
        "amplification/share_amplification": 0.25,
    }
    return Case("worked", lambda: BiasAmplification(groups), (a, t, a, t), expected)


#: What ``worked`` gives besides where its fourth fact, the predicted attribute, is known.
WORKED_BACK = {
    "amplification/task_to_attribute": 0.25,
    "amplification/task_to_attribute_magnitude": 0.25,
    "amplification/task_to_attribute_variance": 0.0,
    "amplification/mals": 0.0,
    "amplification/mals_task_to_attribute": 0.25,
}


def _directional(name: str) -> Indicators:
    given, found = inputs(name), GOLDEN_CASES[name]["expected"]
    keys = {"A_to_T": "attribute_to_task", "T_to_A": "task_to_attribute"}
    expected = {f"amplification/{key}": found[theirs] for theirs, key in keys.items()}
    for theirs, key in keys.items():
        if f"sony_{theirs}_abs_mean_var" in found:
            magnitude, variance = found[f"sony_{theirs}_abs_mean_var"]
            expected |= {
                f"amplification/{key}_magnitude": magnitude,
                f"amplification/{key}_variance": variance,
            }
    return Indicators(indicator_scalars(given), expected)


def _mals(name: str) -> Indicators:
    given, found = inputs(name), GOLDEN_CASES[name]["expected"]
    expected = {
        "amplification/mals": found["BiasAmp_MALS"],
        "amplification/mals_attribute_to_task": found["component_g_to_o"],
        "amplification/mals_task_to_attribute": found["component_o_to_g"],
    }
    return Indicators(indicator_scalars(given), expected)


def _classes(name: str) -> Case:
    given, found = inputs(name), GOLDEN_CASES[name]["expected"]
    names = tuple(str(row) for row in range(int(given["target"].max()) + 1))
    wang, hall = (key + ("_A_to_T" if "wang_A_to_T" in found else "") for key in ("wang", "hall"))
    expected = {
        "amplification/attribute_to_task": found[wang],
        "amplification/attribute_to_task_hall": found[hall],
    }
    metric = Groups(names, ("0", "1"))
    return Case(
        name,
        lambda: BiasAmplification(metric),
        (given["pred"], given["target"], given["attribute"]),
        expected,
    )


def _sets(name: str) -> Indicators:
    record, given = GOLDEN_CASES[name], inputs(name)
    size, least = (record["params"].get(key, default) for key, default in (("k", 1), ("thresh", 0)))
    expected = {}
    for theirs, key in (
        ("G_to_M", "multi_attribute_to_task"),
        ("M_to_G", "multi_task_to_attribute"),
    ):
        magnitude, variance = record["expected"][f"{theirs}_abs_mean_var"]
        expected |= {f"amplification/{key}": magnitude, f"amplification/{key}_variance": variance}
        if f"{theirs}_signed_mean_var" in record["expected"]:
            expected[f"amplification/{key}_signed"] = record["expected"][
                f"{theirs}_signed_mean_var"
            ][0]
    if name == "multi_attribute_directional_sony":
        # of the same inputs; its variance is over a column of zeros more, see
        # test_amplification_sets
        published = GOLDEN_CASES["multi_attribute_mals_sony"]["expected"]
        expected["amplification/multi_mals"] = published["abs_mean_var"][0]
        expected["amplification/multi_mals_signed"] = published["signed_mean_var"][0]
    return Indicators(multi_attribute_scalars(given, size, least), expected)


def _cifar(name: str) -> Case:
    given, groups = inputs(name), Groups(tuple("012345"), ("grey", "colour"))
    expected = {"amplification/share_bias": GOLDEN_CASES[name]["expected"]["mean_class_bias"]}
    target = torch.zeros_like(given["pred"])
    return Case(
        name, lambda: BiasAmplification(groups), (given["pred"], target, given["domain"]), expected
    )


def _celeba(name: str) -> Case:
    given, found = inputs(name), GOLDEN_CASES[name]["expected"]
    groups = Groups(
        tuple(f"{word}{label}" for label in range(4) for word in ("no", "yes")),
        ("0", "1"),
        (),
        True,
    )
    frequencies = groups.frequencies(given["task_labels_train"], given["domain_train"])
    evaluation = (given["task_preds"], torch.zeros_like(given["task_preds"]), given["domain"])
    expected = {"amplification/share_amplification": found["mean_abs_bias_amplification"]}
    return Case(
        name, lambda: BiasAmplification(groups, train_frequencies=frequencies), evaluation, expected
    )


def counted(
    given: dict[str, Tensor], count: Callable[[Tensor, Tensor], CoOccurrence]
) -> CoOccurrences:
    """Labels and predictions of tasks with those of attributes, in the order of the fields."""
    tasks, attributes = (
        [given[f"{kind}_labels"], given[f"{kind}_preds"]] for kind in ("task", "attr")
    )
    return CoOccurrences(*(count(task, attribute) for attribute in attributes for task in tasks))


def indicator_scalars(given: dict[str, Tensor]) -> dict[str, Tensor]:
    train = None
    if "task_labels_train" in given:
        train = co_occurrence(given["task_labels_train"], given["attr_labels_train"])
    return pair_scalars(counted(given, co_occurrence), train)


def multi_attribute_scalars(given: dict[str, Tensor], size: int, least: int) -> dict[str, Tensor]:
    sets = label_sets(given["task_labels_train"], min_size=size, more_than=least)
    sets = observed_sets(sets, given["task_labels"], given["attr_labels"], more_than=least)
    count = partial(set_co_occurrence, sets=sets)
    train = count(given["task_labels_train"], given["attr_labels_train"])
    return set_scalars(counted(given, count), train)


def naive_probability(event: Tensor, condition: Tensor) -> Fraction | None:
    """P(event | condition), exactly; ``None`` where the condition never holds."""
    hits = [bool(e) for e, c in zip(event.tolist(), condition.tolist(), strict=True) if c]
    return Fraction(sum(hits), len(hits)) if hits else None


def naive_sign(task: Tensor, attribute: Tensor, labelled: Tensor) -> int:
    """Sign of P(t, a) - P(t) P(a), exactly."""
    n = int(labelled.sum())
    excess = Fraction(int((task & attribute).sum()), n) - Fraction(
        int(task.sum()) * int(attribute.sum()), n * n
    )
    return (excess > 0) - (excess < 0)
