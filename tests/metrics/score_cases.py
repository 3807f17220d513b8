"""Fairness and score cases with known answers: hand-derived ones, and other people's code's where
these are at hand.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import ClassVar

import torch
from torchmetrics import Metric

from debias.metrics.exact_metrics import GroupCounts
from debias.metrics.fairness.rates import fairness_scalars
from debias.metrics.scores.by_bias import calibration_scalars, f1_scalars, ranking_scalars
from debias.metrics.scores.calibration import (
    decision_confidence,
    positive_confidence,
    reliability,
)
from debias.types import Groups
from tests.metrics.golden_cases import golden_file
from tests.metrics.metrics_cases import Case, worked

NAN = math.nan
FAIRNESS = golden_file("fairness.json")
SCORES = golden_file("group_auroc_f1_calibration.json")

GroupFairness = partial(GroupCounts, read=fairness_scalars)
GroupF1 = partial(GroupCounts, read=f1_scalars)


def calibration(*facts, bins: int = 15, positive: bool = False) -> dict[str, torch.Tensor]:
    """Calibration errors in one of the two conventions; facts as in ``ranking_scalars``."""
    probabilities, target, bias, groups = facts
    convention = positive_confidence if positive else decision_confidence
    told = convention(probabilities, target, groups)
    return calibration_scalars(reliability(*told, target, bias, groups, bins=bins), groups)


@dataclass(frozen=True)
class ScoredSet:
    """Probabilities, and the numbers that a function of them must give."""

    name: str
    groups: Groups
    prediction: torch.Tensor
    target: torch.Tensor
    bias: torch.Tensor
    expected: dict[str, float]
    read: Callable[..., dict[str, torch.Tensor]]
    tolerance: float = 1e-9

    def found(self) -> dict[str, float]:
        scalars = self.read(self.prediction, self.target, self.bias, self.groups)
        return {key: value.item() for key, value in scalars.items()}

    def with_an_empty_group(self) -> ScoredSet:
        return replace(self, groups=_with_nobody(self.groups))


@dataclass(frozen=True)
class ScoreCase(Case):
    """A case of other numbers than group accuracies."""

    metric: Callable[[Groups], Metric] | None = GroupFairness
    rounding: ClassVar[float] = 1e-12

    def with_an_empty_group(self) -> ScoreCase:
        """The same samples with one more value of the bias, never seen: nothing may change."""
        return replace(self, groups=_with_nobody(self.groups))


def _with_nobody(groups: Groups) -> Groups:
    names = (*groups.bias_names, "nobody")
    return Groups(groups.target_names, names, multi_label=groups.multi_label)


def binary(biases: int, target_names: tuple[str, ...] = ("0", "1")) -> Groups:
    return Groups(target_names, tuple(str(value) for value in range(biases)))


def every_case() -> list[ScoreCase]:
    """Hand-derived cases of counts, then the golden ones that are at hand."""
    cases = [worked_fairness(), labels()]
    if FAIRNESS:
        cases += fairness_cases()
    if SCORES:
        cases.append(golden_f1())
    return cases


def scored_sets() -> list[ScoredSet]:
    """Hand-derived sets of probabilities, then the golden ones that are at hand."""
    golden = [*ranking_cases(), *calibration_cases()] if SCORES else []
    return [worked_calibration(), worked_ranking(), *golden]


def worked_fairness() -> ScoreCase:
    """metrics.md 4.4: y=0000111111, a=0001111100, yhat=0011111001.

    Bias 0 is images 0 1 2 8 9: selected 2 of 5, positives 8 9 of which 1 found, negatives 0 1 2 of
    which 1 wrong, right 3 of 5. Bias 1 is images 3 to 7: selected 4 of 5, positives 4 to 7 of which
    3 found, negative 3 wrong. Precision 1/2 and 3/4; accuracy 3/5 both.
    """
    facts = worked()
    expected = {
        "demographic_parity_difference": 0.4,
        "demographic_parity_ratio": 0.5,
        "equal_opportunity_difference": 0.25,
        "equal_opportunity_ratio": 2 / 3,
        "equalized_odds_difference": 2 / 3,
        "equalized_odds_mean": (1 / 4 + 2 / 3) / 2,
        "equalized_odds_ratio": 1 / 3,
        "predictive_parity_difference": 0.25,
        "predictive_parity_ratio": 2 / 3,
        "accuracy_difference": 0.0,
        "accuracy_ratio": 1.0,
    }
    return ScoreCase(
        "worked fairness", facts.groups, facts.prediction, facts.target, facts.bias, expected
    )


def worked_calibration() -> ScoredSet:
    """p=(.1,.3,.35,.7,.9,.95), y=(0,0,1,1,1,0), 5 bins: the bins hold 1, 2, 0, 1 and 2 samples.

    Distances .1, |.325 - .5|, .3 and |.925 - .5|; (1 * .1 + 2 * .175 + 1 * .3 + 2 * .425) / 6 = 1.6
    / 6.
    """
    positive = torch.tensor([0.1, 0.3, 0.35, 0.7, 0.9, 0.95], dtype=torch.float64)
    expected = {
        "ece": 1.6 / 6,
        "ece/0": 1.6 / 6,
        "worst_ece": 1.6 / 6,
        "ece_gap": NAN,
        "mce": 0.425,
    }
    return ScoredSet(
        "worked calibration",
        binary(1),
        torch.stack((1 - positive, positive), dim=1),
        torch.tensor([0, 0, 1, 1, 1, 0]),
        torch.zeros(6, dtype=torch.long),
        expected,
        read=partial(calibration, bins=5, positive=True),
    )


def worked_ranking() -> ScoredSet:
    """Bias 0: positives .9 .4, negatives .4 .1: wins 1, 1, 1/2 and 1 of 4 pairs. Bias 1: positive
    .2, negative .8.

    One more positive, .05, of unknown bias: overall its 3 pairs are lost, and (.2) wins over .1
    alone, (.9) over all three, (.4) over .1 with a tie at .4: 3 + 1.5 + 1 of 12. BPSN of 0:
    positive .2 against .4 and .1, 1 of 2; of 1: positives .9 .4 against .8, 1 of 2. BNSP mirrors
    it. AP of bias 0: (1 + 2/3) / 2; of bias 1: 1/2.
    """
    positive = torch.tensor([0.9, 0.4, 0.4, 0.1, 0.2, 0.8, 0.05], dtype=torch.float64)
    expected = {
        "auroc": 5.5 / 12,
        "auroc/0": 0.875,
        "auroc/1": 0.0,
        "worst_auroc": 0.0,
        "auroc_gap": 0.875,
        "bpsn_auc/0": 0.5,
        "bpsn_auc/1": 0.5,
        "bnsp_auc/0": 0.5,
        "bnsp_auc/1": 0.5,
        "average_precision/0": 5 / 6,
        "average_precision/1": 0.5,
        "worst_average_precision": 0.5,
    }
    return ScoredSet(
        "worked ranking",
        binary(2),
        torch.stack((1 - positive, positive), dim=1),
        torch.tensor([1, 1, 0, 0, 1, 0, 1]),
        torch.tensor([0, 0, 0, 0, 1, 1, -1]),
        expected,
        read=ranking_scalars,
    )


def labels() -> ScoreCase:
    """Two labels; bias x: targets (1,0) (0,0), predicted (1,1) (0,0); y: (1,1) (1,0), (1,0) (0,0).

    Label s: selected 1/2 both; found 1/1 and 1/2; wrongly 0/1 and nothing; precision 1 both; right
    1 and 1/2. Label b: selected 1/2 and 0/2; found nothing and 0/1; wrongly 1/2 and 0/1; precision
    0/1 and nothing; right 1/2 and 1/2. So of parity 0 and 1/2, of opportunity 1/2 and undefined, of
    odds 1/2 and 1/2, of precision 0 and undefined, of accuracy 1/2 and 0.
    """
    expected = {
        "demographic_parity_difference": 0.25,
        "worst_demographic_parity_difference": 0.5,
        "demographic_parity_ratio": 0.5,
        "worst_demographic_parity_ratio": 0.0,
        "equal_opportunity_difference": 0.5,
        "worst_equal_opportunity_difference": 0.5,
        "equalized_odds_difference": 0.5,
        "worst_equalized_odds_difference": 0.5,
        "predictive_parity_difference": 0.0,
        "worst_predictive_parity_difference": 0.0,
        "accuracy_difference": 0.25,
        "worst_accuracy_difference": 0.5,
        "worst_accuracy_ratio": 0.5,
    }
    return ScoreCase(
        "labels",
        Groups(("not s", "s", "not b", "b"), ("x", "y"), multi_label=True),
        torch.tensor([[1, 1], [0, 0], [1, 0], [0, 0]]),
        torch.tensor([[1, 0], [0, 0], [1, 1], [1, 0]]),
        torch.tensor([0, 0, 1, 1]),
        expected,
    )


def fairness_cases() -> list[ScoreCase]:
    """Cases of fairness.json that give a scalar; names of each reference are written out."""
    fairlearn, torchmetrics = (
        FAIRNESS[f"binary_3groups_{name}"] for name in ("fairlearn", "torchmetrics")
    )
    found = fairlearn["expected"]
    same = [
        key
        for key in found
        if key.endswith(("_difference", "_ratio")) and key.startswith(("demo", "equal"))
    ]
    own = {key: found[key] for key in same} | {
        "equalized_odds_mean": found["equalized_odds_difference_mean"],
        "accuracy_difference": found["accuracy_disparity"],
        "accuracy_ratio": found["ratio"]["acc"],
        "predictive_parity_difference": found["predictive_parity_difference"],
        "predictive_parity_ratio": found["ratio"]["ppv"],
    }
    ratios = torchmetrics["expected"]["binary_fairness"]
    aif, oxonfair = (FAIRNESS[f"binary_2groups_{name}"] for name in ("aif360", "oxonfair"))
    signed, other = aif["expected"], oxonfair["expected"]
    ignite = FAIRNESS["binary_3groups_ignite_dp"]
    return [
        _case(fairlearn, binary(3), own),
        _case(
            torchmetrics,
            binary(3),
            {
                "demographic_parity_ratio": ratios["DP_0_1"],
                "equal_opportunity_ratio": ratios["EO_2_0"],
            },
        ),
        _case(
            aif,
            binary(2),
            {
                "demographic_parity_difference": abs(signed["statistical_parity_difference"]),
                "demographic_parity_ratio": signed["disparate_impact_ratio"],
                "equal_opportunity_difference": abs(signed["equal_opportunity_difference"]),
                "equalized_odds_mean": signed["average_odds_error"],
            },
        ),
        _case(
            oxonfair,
            binary(2),
            {
                "demographic_parity_difference": other["demographic_parity"],
                "demographic_parity_ratio": other["disparate_impact"],
                "equal_opportunity_difference": other["equal_opportunity"],
                "predictive_parity_difference": other["predictive_parity"],
                "accuracy_difference": other["accuracy_parity"],
                "equalized_odds_mean": other["equalized_odds"],
                "equalized_odds_difference": other["equalized_odds_max"],
            },
        ),
        _case(ignite, binary(3), ignite["expected"]),
        _without_positives(),
        _intersection(),
        _one_vs_rest(),
    ]


def _case(record: dict, groups: Groups, expected: dict[str, float]) -> ScoreCase:
    inputs = record["inputs"]
    columns = (
        inputs["pred"],
        inputs.get("target", inputs["pred"]),
        inputs.get("group", inputs.get("attribute")),
    )
    facts = [torch.tensor(column) for column in columns]
    return ScoreCase(record["name"], groups, *facts, expected, tolerance=record["tolerance"])


def _without_positives() -> ScoreCase:
    """fairlearn, torchmetrics, oxonfair take undefined rates for 0; these are not compared.

    So opportunity and precision are NaN, of odds the false positive rates .25 and .5 are left;
    where all is defined the values are fairlearn's.
    """
    record = FAIRNESS["edge_group_without_positives"]
    theirs = record["expected"]["fairlearn"]
    expected = {
        "demographic_parity_difference": theirs["demographic_parity_difference"],
        "demographic_parity_ratio": theirs["demographic_parity_ratio"],
        "accuracy_difference": theirs["accuracy_disparity"],
        "accuracy_ratio": theirs["ratio"]["acc"],
        "equal_opportunity_difference": NAN,
        "equal_opportunity_ratio": NAN,
        "equalized_odds_difference": theirs["difference"]["fpr"],
        "equalized_odds_ratio": theirs["ratio"]["fpr"],
        "predictive_parity_difference": 0.5,
    }
    # group 0 predicts one positive, which is wrong: precision 0 / 1 against 1 / 2, defined in both
    return _case(record, binary(2), expected)


def _intersection() -> ScoreCase:
    record = FAIRNESS["edge_empty_intersection"]
    inputs, found = record["inputs"], record["expected"]
    names = ("0 & 0", "0 & 1", "1 & 0", "1 & 1")
    bias = 2 * torch.tensor(inputs["attr_a"]) + torch.tensor(inputs["attr_b"])
    expected = {"accuracy_difference": found["difference"], "accuracy_ratio": found["ratio"]}
    facts = torch.tensor(inputs["pred"]), torch.tensor(inputs["target"]), bias
    return ScoreCase(
        record["name"], Groups(("0", "1"), names), *facts, expected, tolerance=record["tolerance"]
    )


def _one_vs_rest() -> ScoreCase:
    record = FAIRNESS["multiclass_one_vs_rest_fairlearn"]
    keys = {
        "dp_diff": "demographic_parity_difference",
        "eopp_diff": "equal_opportunity_difference",
        "eodds_diff": "equalized_odds_difference",
    }
    found = record["expected"]
    expected = {key: found["macro"][name] for name, key in keys.items()}
    expected |= {f"worst_{key}": found["worst"][name] for name, key in keys.items()}
    return _case(record, binary(3, ("0", "1", "2")), expected)


def golden_f1() -> ScoreCase:
    record = SCORES["per_attribute_auroc_f1"]
    inputs, found = record["inputs"], record["expected"]
    f1 = {f"f1/{k}": v["f1"] for k, v in found["by_attribute"].items()}
    prediction = (torch.tensor(inputs["prob_class1"], dtype=torch.float64) > 0.5).long()
    facts = (prediction, torch.tensor(inputs["target"]), torch.tensor(inputs["attribute"]))
    return ScoreCase(
        "per_attribute_f1",
        binary(2),
        *facts,
        f1 | {"worst_f1": found["worst_f1"]},
        tolerance=record["tolerance"],
        metric=GroupF1,
    )


def ranking_cases() -> list[ScoredSet]:
    """Sets with known AUROC, average precision and Borkan's areas."""
    slices = SCORES["per_attribute_auroc_f1"]
    found, by_attribute = slices["expected"], slices["expected"]["by_attribute"].items()
    areas = {f"auroc/{k}": v["auroc"] for k, v in by_attribute} | {
        "worst_auroc": found["worst_auroc"]
    }
    areas |= {f"average_precision/{k}": v["auprc"] for k, v in by_attribute}
    borkan = SCORES["borkan_subgroup_bpsn_bnsp_auc"]
    names = {"subgroup_auc": "auroc", "bpsn_auc": "bpsn_auc", "bnsp_auc": "bnsp_auc"}
    mixtures = {
        f"{own}/{k}": v[name] for k, v in borkan["expected"].items() for name, own in names.items()
    }
    single = SCORES["auroc_on_single_class_groups"]
    cells = _scored(single, Groups(("0", "1"), ("0_0", "0_1", "1_0", "1_1")), {}, ranking_scalars)
    undefined = {f"auroc/{name}": NAN for name in cells.groups.bias_names} | {
        "worst_auroc": NAN,
        "auroc_gap": NAN,
    }
    return [
        _scored(slices, binary(2), areas, ranking_scalars),
        _scored(borkan, binary(2), mixtures, ranking_scalars),
        replace(cells, bias=2 * cells.target + cells.bias, expected=undefined),
    ]


def calibration_cases() -> list[ScoredSet]:
    """Cases of the calibration errors, in both binary conventions."""
    several = SCORES["multiclass_ece_by_group"]
    names = {"overall": "ece", "attr0": "ece/0", "attr1": "ece/1", "attr2": "ece/2"}
    errors = {own: several["expected"][name]["torchmetrics"] for name, own in names.items()}
    errors |= {"worst_ece": errors["ece/1"], "ece_gap": errors["ece/1"] - errors["ece/0"]}
    edges, default = SCORES["edge_probs_on_bin_edges"], SCORES["subpopbench_ece_default"]
    positive = {"ece": edges["expected"]["netcal_ECE"], "mce": edges["expected"]["netcal_MCE"]}
    decided = _scored(
        edges,
        binary(1),
        {"ece": edges["expected"]["confidence_style_torchmetrics_l1"]},
        partial(calibration, bins=10),
    )
    of_positive = partial(calibration, bins=10, positive=True)
    return [
        _scored(several, binary(3, ("0", "1", "2")), errors, partial(calibration, bins=10)),
        _scored(edges, binary(1), positive, of_positive),
        replace(decided, name="edge_probs_decided"),
        _scored(default, binary(1), {"ece": default["expected"]["ECE"]}, of_positive),
    ]


def _scored(
    record: dict, groups: Groups, expected: dict[str, float], read: Callable[..., dict]
) -> ScoredSet:
    inputs = record["inputs"]
    if "probs" in inputs:
        probabilities = torch.tensor(inputs["probs"], dtype=torch.float64)
    else:
        positive = torch.tensor(inputs["prob_class1"], dtype=torch.float64)
        probabilities = torch.stack((1 - positive, positive), dim=1)
    target = torch.tensor(inputs["target"])
    bias = torch.tensor(inputs["attribute"]) if "attribute" in inputs else torch.zeros_like(target)
    facts = (record["name"], groups, probabilities, target, bias, expected)
    return ScoredSet(*facts, read, record["tolerance"])
