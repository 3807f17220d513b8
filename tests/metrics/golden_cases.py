"""Results of other people's code (WILDS, Group DRO, SubpopBench, ...) in this project's terms,
where at hand.
"""

import json
import math
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch

from debias.types import Groups
from tests.metrics.metrics_cases import BIRDS, TRIPLE, Case, empty_group, multi_label, worked

GOLDEN = Path(__file__).resolve().parents[3] / "shared" / "reference" / "golden"


def golden_file(name: str) -> dict[str, dict]:
    """Cases of a golden file by name; empty where the file is absent."""
    path = GOLDEN / name
    return (
        {case["name"]: case for case in json.loads(path.read_text())["cases"]}
        if path.exists()
        else {}
    )


def golden_record(file: str, name: str) -> dict:
    """One case of a golden file; the test is skipped where the file is absent."""
    cases = golden_file(file)
    if not cases:
        pytest.skip("golden files are not at hand")
    return cases[name]


def golden() -> list[Case]:
    """All cases of group_accuracy.json, in the project's terms; what each reference calls what is
    written out here.
    """
    cases = golden_file("group_accuracy.json")
    builders = {
        "waterbirds_eval_binary": _wilds,
        "empty_group_wilds": _wilds_empty,
        "groupdro_running_stats": _group_dro,
        "subpopbench_binary": _subpopbench,
        "subpopbench_multiclass": _subpopbench,
        "vb_mitigator_multiclass_aligned_conflicting": _vb_mitigator,
        "lff_attrwise_accuracy_table": _learning_from_failure,
        "dfr_results": _dfr,
        "fairlearn_metricframe_multiclass": _fairlearn,
    }
    return [build(cases[name]) for name, build in builders.items() if name in cases]


def every_case() -> list[Case]:
    """Hand-derived cases, then the golden ones where these are at hand."""
    return [worked(), empty_group(), multi_label(), *golden()]


def golden_case(
    record: dict, groups: Groups, expected: Mapping[str, float], **options: object
) -> Case:
    """A record of a golden file of classes, or of probabilities of the second of two."""
    inputs = record["inputs"]
    prediction = (
        inputs["pred"] if "pred" in inputs else [int(p > 0.5) for p in inputs["prob_class1"]]
    )
    # a reference that is told groups only numbers them 2 * target + attribute
    bias = (
        inputs["attribute"] if "attribute" in inputs else [group % 2 for group in inputs["group"]]
    )
    facts = (torch.tensor(prediction), torch.tensor(inputs["target"]), torch.tensor(bias))
    return Case(record["name"], groups, *facts, expected, **options)


def _cells(groups: Groups, values: list[float]) -> dict[str, float]:
    return {f"accuracy/{name}": value for name, value in zip(groups.names, values, strict=True)}


def _wilds(record: dict) -> Case:
    found = record["expected"]
    keys = [
        f"y:{bird}bird_background:{place}"
        for bird in ("land", "water")
        for place in ("land", "water")
    ]
    expected = {
        "worst_group": found["acc_wg"],
        "adjusted_average": found["adj_acc_avg"],
        **_cells(BIRDS, [found[f"acc_{key}"] for key in keys]),
    }
    counts = tuple(int(found[f"count_{key}"]) for key in keys)
    frequencies = torch.tensor(
        [record["params"]["train_counts"][f"y{y}_bg{a}"] for y in (0, 1) for a in (0, 1)]
    )
    return golden_case(
        record, BIRDS, expected, counts=counts, train_frequencies=frequencies, tolerance=1e-6
    )


def _wilds_empty(record: dict) -> Case:
    """Groups here are not (target, attribute) pairs: each is taken as a class, and a wrong answer
    as another class.

    WILDS reports the empty group as 0 and leaves it out of the minimum; here it is NaN, and left
    out as well.
    """
    inputs, found = record["inputs"], record["expected"]
    groups = Groups(("0", "1", "2", "3"), ("any",))
    group = torch.tensor(inputs["group"])
    right = torch.tensor(inputs["pred"]) == torch.tensor(inputs["target"])
    prediction = torch.where(right, group, (group + 1) % 4)
    values = [
        v if n else math.nan
        for v, n in zip(found["group_metrics"], found["group_counts"], strict=True)
    ]
    expected = {
        "worst_group": found["worst_group"],
        "worst_class": found["worst_group"],
        **_cells(groups, values),
    }
    counts = tuple(int(n) for n in found["group_counts"])
    bias = torch.zeros_like(group)
    return Case(record["name"], groups, prediction, group, bias, expected, counts, tolerance=1e-6)


def _group_dro(record: dict) -> Case:
    found = record["expected"]
    expected = {
        "average": found["avg_acc"],
        **_cells(BIRDS, [found[f"avg_acc_group:{g}"] for g in range(4)]),
    }
    counts = tuple(int(found[f"processed_data_count_group:{g}"]) for g in range(4))
    return golden_case(record, BIRDS, expected, counts=counts, tolerance=1e-5)


def _subpopbench(record: dict) -> Case:
    """``adjusted_accuracy`` is the mean over groups, ``class_diff`` a sum over pairs of classes."""
    found = record["expected"]
    groups = BIRDS if record["name"].endswith("binary") else TRIPLE
    order = [
        found["per_group"][f"y={y},a={a}"] for y in range(groups.rows) for a in range(groups.biases)
    ]
    recalls = [found["per_class"][str(y)]["recall"] for y in range(groups.rows)]
    expected = {
        "average": found["overall"]["accuracy"],
        "group_balanced": found["adjusted_accuracy"],
        "class_balanced": sum(recalls) / len(recalls),
        "class_difference": found["class_diff"] / math.comb(len(recalls), 2),
        "worst_group": found["worst_group_accuracy"],
        "worst_class": found["worst_class_accuracy"],
        "gap": found["best_group_accuracy"] - found["worst_group_accuracy"],
        "robustness_gap": found["overall"]["accuracy"] - found["worst_group_accuracy"],
        **_cells(groups, [cell["accuracy"] for cell in order]),
    }
    return golden_case(record, groups, expected, counts=tuple(cell["n_samples"] for cell in order))


def _vb_mitigator(record: dict) -> Case:
    found = record["expected"]["unb_bc_ba"]
    expected = {
        "group_balanced": found["unb_acc"],
        "bias_aligned": found["ba_acc"],
        "bias_conflicting": found["bc_acc"],
        "worst_group": record["expected"]["wg_ovr_rounded3"]["worst_group_accuracy"],
    }
    return golden_case(record, TRIPLE, expected)


def _learning_from_failure(record: dict) -> Case:
    found = record["expected"]
    expected = {
        "group_balanced": found["mean_all"],
        "bias_aligned": found["mean_aligned"],
        "bias_conflicting": found["mean_skewed"],
        **_cells(TRIPLE, [value for row in found["table"] for value in row]),
    }
    return golden_case(record, TRIPLE, expected, tolerance=1e-6)


def _dfr(record: dict) -> Case:
    found = record["expected"]
    expected = {
        "average": found["mean_accuracy"],
        "worst_group": found["worst_accuracy"],
        **_cells(BIRDS, [found[f"accuracy_{y}_{a}"] for y in (0, 1) for a in (0, 1)]),
    }
    return golden_case(record, BIRDS, expected, tolerance=1e-6)


def _fairlearn(record: dict) -> Case:
    """Its ``gap_to_overall`` is max |acc_g - overall|: here that is the worst group, so the
    robustness gap as well.
    """
    found = record["expected"]
    expected = {
        "average": found["overall"],
        "worst_group": found["worst"],
        "gap": found["gap_between_groups"],
        "robustness_gap": found["gap_to_overall"],
        "greatest_deviation": found["gap_to_overall"],
        "group_ratio": found["ratio"],
        **_cells(TRIPLE, [found["by_group"][f"{y}_{a}"] for y in range(3) for a in range(3)]),
    }
    return golden_case(record, TRIPLE, expected, tolerance=1e-6)
