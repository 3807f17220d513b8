"""Thresholds of labels: hand values, what the authors' code gives, and the report of a run."""

import pytest
import torch

from debias.evaluation.evidence import Evidence
from debias.evaluation.measures import measure_all
from debias.metrics.amplification.report import above, amplification_report, label_thresholds
from debias.reports.predictions import Predictions
from debias.types import Groups

FACES = Groups(
    ("not Smiling", "Smiling", "not Blond", "Blond"), ("female", "male"), multi_label=True
)

# Scores in fortieths; thresholds and decisions are those of threshold_preds of
# SonyResearch/multi_bias_amp@926e207.
VAL = [
    [32, 3, 7, 9], [7, 32, 34, 23], [1, 3, 13, 17], [24, 19, 10, 6], [27, 29, 1, 4],
    [18, 15, 35, 20], [16, 17, 26, 23], [6, 29, 30, 38], [31, 11, 12, 25], [26, 27, 34, 11],
    [37, 0, 3, 38], [37, 11, 5, 12],
]  # fmt: skip
LABELS = [
    [0, 0, 1, 1], [1, 0, 1, 1], [0, 0, 1, 1], [0, 0, 0, 1], [0, 0, 0, 0], [0, 0, 0, 1],
    [0, 1, 1, 1], [0, 1, 0, 1], [0, 1, 0, 1], [1, 0, 0, 1], [0, 1, 0, 1], [0, 0, 0, 0],
]  # fmt: skip
TEST = [
    [24, 31, 13, 31], [38, 2, 21, 14], [2, 3, 10, 7], [28, 8, 25, 34],
    [19, 5, 2, 11], [16, 19, 12, 33], [22, 38, 37, 28], [1, 8, 29, 21],
]  # fmt: skip
DECISIONS = [
    [0, 1, 0, 1], [1, 0, 0, 1], [0, 0, 0, 1], [0, 0, 0, 1],
    [0, 0, 0, 1], [0, 0, 0, 1], [0, 1, 1, 1], [0, 0, 1, 1],
]  # fmt: skip


def test_thresholds_and_decisions_are_those_of_the_authors_code() -> None:
    scores = torch.tensor(VAL, dtype=torch.float64) / 40
    found = label_thresholds(scores, torch.tensor(LABELS))
    assert found.tolist() == [32 / 40, 19 / 40, 26 / 40, 6 / 40]
    assert above(torch.tensor(TEST, dtype=torch.float64) / 40, found).tolist() == DECISIONS


@pytest.mark.parametrize(
    ("labels", "threshold", "given"),
    [
        ([0, 0, 0, 0], 0.9, 0),  # nobody has it: none above the greatest
        ([1, 0, 0, 0], 0.4, 1),
        ([0, 1, 1, 0], 0.4, 1),  # two would be three, since two scores are equal
        ([1, 1, 1, 0], 0.2, 3),
        ([1, 1, 1, 1], -torch.inf, 4),
    ],
)
def test_no_more_are_given_a_label_than_have_it(
    labels: list[int], threshold: float, given: int
) -> None:
    scores = torch.tensor([[0.4], [0.9], [0.4], [0.2]], dtype=torch.float64)
    found = label_thresholds(scores, torch.tensor(labels)[:, None])
    assert found.tolist() == [threshold]
    assert above(scores, found).sum().item() == given


def test_what_is_no_table_of_labels_is_refused() -> None:
    for scores, target in (
        (torch.ones(3), torch.ones(3).long()),
        (torch.ones(0, 2), torch.ones(0, 2).long()),
    ):
        with pytest.raises(ValueError, match="with N >= 1"):
            label_thresholds(scores, target)
    for target in (torch.full((3, 1), 2), torch.full((3, 1), 0.5)):
        with pytest.raises(ValueError, match="target must hold integers 0 and 1"):
            label_thresholds(torch.ones(3, 1), target)


def rows(logits: list[list[float]], target: list[list[int]]) -> Predictions:
    count = len(logits)
    bias = torch.arange(count) % 2
    return Predictions(
        torch.arange(count), ("",) * count, torch.tensor(target), bias, torch.tensor(logits)
    )


def test_a_run_chooses_on_validation_and_applies_to_test() -> None:
    """Validation: one of four smiles: the second greatest logit, -2; two are blond: the third, 1.

    At 0 nobody of the test split smiles and all are blond.
    """
    chosen = rows(
        [[-1.0, 3.0], [-2.0, 2.0], [-3.0, 1.0], [-4.0, 0.5]], [[1, 1], [0, 1], [0, 0], [0, 0]]
    )
    asked = rows(
        [[-1.5, 0.9], [-2.5, 1.1], [-1.9, 4.0], [-9.0, 0.1]], [[1, 0], [0, 1], [1, 1], [0, 0]]
    )
    found = measure_all(Evidence(asked, FACES, elsewhere=chosen), ["thresholds"])
    scalars = found.scalars["thresholds"]
    # 1 / (1 + e^2)
    assert scalars["threshold/Smiling"] == pytest.approx(0.11920292202211755, abs=1e-12)
    assert scalars["threshold/Blond"] == pytest.approx(0.7310585786300049, abs=1e-12)
    decided = torch.tensor([[1, 0], [0, 1], [1, 1], [0, 0]])
    expected = amplification_report(decided, asked.target, asked.bias, FACES)
    assert {
        key: value for key, value in scalars.items() if key.startswith("amplification/")
    } == pytest.approx(expected, nan_ok=True)
    alone = measure_all(Evidence(asked, FACES), ["thresholds"])
    assert alone.left_out == {"thresholds": "it needs predictions of other images, to choose on"}
