"""Which families can be measured, and how many images are of no group."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from debias import progress
from debias.data.examples import Examples
from debias.evaluation import measures
from debias.evaluation.evidence import Evidence
from debias.evaluation.families import CONDITIONS, MEASURES
from debias.evaluation.predictions import measure, with_labels
from debias.parts import Parts
from debias.reports.predictions import Predictions
from debias.training.prediction import Predicted
from debias.types import ContextPair, Groups
from tests.fakes import GROUPS


@pytest.fixture
def examples() -> Examples:
    """Two training and four test images, the last of unknown bias, all with masks."""
    names = tuple(f"{row}.png" for row in range(6))
    target, bias = torch.tensor([0, 1, 0, 1, 0, 1]), torch.tensor([0, 1, 0, 1, 1, -1])
    split = torch.tensor([0, 0, 2, 2, 2, 2])
    return Examples(
        Path("pictures"),
        names,
        target,
        bias,
        split,
        GROUPS,
        Path("table.csv"),
        Path("masks"),
        names,
    )


def evidence_of(examples: Examples) -> Evidence:
    rows = examples.rows("test")
    predictions = with_labels(examples, Predicted(rows, torch.tensor([[1.0, 0.0]] * 4)))
    parts = Parts(examples, None, None, "cpu", "32-true")  # type: ignore[arg-type]  # neither pictures nor a model
    return Evidence(predictions, GROUPS, parts=parts)


def test_an_image_of_unknown_bias_counts_in_the_average_and_in_no_group(examples: Examples) -> None:
    """Everything is taken for a landbird: 2 of 4 images are right; the fourth is in no group."""
    report = measure(evidence_of(examples).predictions, examples)
    assert report["unknown"] == 1
    assert [group["count"] for group in report["groups"]] == [1, 1, 0, 1]
    assert report["scalars"]["average"] == 0.5


def test_masks_are_wanted_of_the_images_that_are_measured(examples: Examples) -> None:
    """Whether the training images have any does not matter."""

    def missing(*masks: str) -> str:
        return CONDITIONS["masks"](evidence_of(replace(examples, masks=masks)))

    mask = "mask.png"
    assert missing(mask, mask, mask, mask, mask, mask) == ""
    assert missing("", "", mask, mask, mask, mask) == ""
    reason = "not every test image has a foreground mask: see `debias masks`"
    assert missing(mask, mask, mask, mask, mask, "") == reason
    assert missing() == reason


def test_long_attacks_report_in_a_log(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Here each counts as long: five attackers on the model, the labels and the flipped labels."""
    monkeypatch.setattr(progress, "PAUSE", 0.0)
    target, bias = torch.arange(40) % 2, torch.arange(40) // 2 % 2
    logits = torch.stack([-target.double(), target - 0.5 * bias], dim=1)
    rows = Predictions(torch.arange(40), ("",) * 40, target, bias, logits)
    MEASURES["leakage"](Evidence(rows, GROUPS))
    lines = capsys.readouterr().err.splitlines()
    assert lines[:2] == [f"measuring leakage: {count} attackers" for count in (1, 2)]
    assert lines[14] == "measuring leakage: 15 attackers"
    assert [line.startswith("measuring leakage: done in ") for line in lines[15:]] == [True]


def test_pairs_of_labels_are_found_on_other_images() -> None:
    """There the first label's context is the second one; in the images that are measured it would
    be the third.

    With the second: confidence .6, without it .9 and .3, mean .6: bias 1. Alone, .9 and .3 about .5
    of the image without the label: precision (1 + 2/3) / 2. Beside it, .6 is above .5.
    """
    groups = Groups(("no a", "a", "no b", "b", "no c", "c"), ("x", "y"), multi_label=True)

    def predicted(target: list[list[int]], confidence: list[float]) -> Predictions:
        said = torch.full((len(target), 3), 0.5)
        said[:, 0] = torch.tensor(confidence)
        names = tuple(f"{row}.png" for row in range(len(target)))
        return Predictions(
            torch.arange(len(target)),
            names,
            torch.tensor(target),
            torch.zeros(len(target)),
            said.logit(),
        )

    measured = predicted([[1, 1, 0], [1, 0, 1], [1, 0, 0], [0, 0, 0]], [0.6, 0.9, 0.3, 0.5])
    elsewhere = predicted([[1, 1, 0], [1, 0, 0], [0, 0, 1]], [0.8, 0.4, 0.5])
    found = MEASURES["context"](Evidence(measured, groups, elsewhere=elsewhere))
    pair = {"contextual_bias": 1.0, "exclusive_precision": 5 / 6, "cooccurring_precision": 1.0}
    # a: 1, 1 and 3/4; each of b and c is one of four ties
    expected = {**pair, "context_gap": 1 / 6, "mean_precision": (11 / 12 + 1 / 4 + 1 / 4) / 3}
    assert found == pytest.approx({**expected, **{f"{k}/a|b": v for k, v in pair.items()}})
    known = replace(groups, contexts=(ContextPair(0, 2),))
    found = MEASURES["context"](Evidence(measured, known, elsewhere=elsewhere))
    assert found["contextual_bias"] == found["contextual_bias/a|c"] == pytest.approx(2.0)


def test_a_family_of_too_many_numbers_keeps_those_about_all_images(
    examples: Examples, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = measures.measure_all(evidence_of(examples), ["fairness"]).scalars["fairness"]
    monkeypatch.setattr(measures, "MOST_NUMBERS", len(whole) - 1)
    found = measures.measure_all(evidence_of(examples), ["fairness"]).scalars["fairness"]
    single = [name for name in whole if "/" in name]
    assert found.keys() == whole.keys() - set(single)
    assert found.keys() >= {"demographic_parity_difference"}
    assert f"fairness: {len(single)} numbers of single groups" in capsys.readouterr().err


def test_images_are_not_sorted_for_thousands_of_classes(
    examples: Examples, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("debias.evaluation.families.MOST_RANKED", 1)
    found = measures.measure_all(evidence_of(examples), ["scores"])
    assert found.scalars == {}
    assert "each of 2 classes, more than 1" in found.left_out["scores"]


def two_classes(
    logits: list[list[float]], target: list[int], *, given: list[list[float]] | None = None
) -> Evidence:
    """Evidence of classes a and b; the bias values alternate."""
    bias = torch.arange(len(target)) % 2
    names = tuple(map(str, range(len(target))))
    probabilities = None if given is None else torch.tensor(given, dtype=torch.float64)
    rows = Predictions(
        torch.arange(len(target)),
        names,
        torch.tensor(target),
        bias,
        torch.tensor(logits),
        probabilities,
    )
    return Evidence(rows, Groups(("a", "b"), ("in", "out")))


@pytest.mark.parametrize("positive", ["a", "b"])
def test_scores_that_softmax_rounds_to_one_are_still_ranked(positive: str) -> None:
    logits = [[0.0, value] for value in (39.0, 40.0, 41.0, 50.0, 60.0, 61.0)]
    evidence = two_classes(logits, [0, 0, 0, 1, 1, 1])._replace(positive=positive)
    found = MEASURES["scores"](evidence)
    assert (found["auroc"], found["average_precision"]) == (1.0, 1.0)


def test_given_probabilities_tie_as_they_are_written() -> None:
    """Their logits would rank 0.4 of 0.4 + 0.1 + 0.5 and of 0.4 + 0.3 + 0.3 apart."""
    given = torch.tensor([[0.4, 0.1, 0.5], [0.4, 0.3, 0.3]], dtype=torch.float64).repeat(2, 1)
    rows = two_classes([[0.0, 1.0]] * 4, [0, 1, 0, 1]).predictions
    rows = replace(rows, logits=given.log().float(), probabilities=given)
    evidence = Evidence(rows, Groups(("a", "b", "c"), ("in", "out")))
    torch.testing.assert_close(evidence.ranked[:, 0], given[:, 0], rtol=0, atol=0)
    assert evidence.probabilities is given


@pytest.mark.parametrize("given", [None, [[0.5, 0.5], [0.5, 0.5], [0.2, 0.8], [0.2, 0.8]]])
def test_an_image_with_tied_scores_keeps_its_decision(given: list[list[float]] | None) -> None:
    """It is an a, also if a is the positive class: three of four decisions are right."""
    logits = [[1.0, 1.0], [1.0, 1.0], [0.0, 1.0], [0.0, 1.0]]
    evidence = two_classes(logits, [0, 1, 1, 1], given=given)
    for positive in ("a", "b"):
        found = MEASURES["fairness"](evidence._replace(positive=positive))
        assert (found["accuracy/in"], found["accuracy/out"]) == (1.0, 0.5)
    f1 = MEASURES["scores"](evidence._replace(positive="a"))["f1"]
    assert f1 == pytest.approx(2 / 3)  # of a: one hit, one false alarm
