"""Attention scores: worked maps, reference results, a pixel-by-pixel definition, averages."""

import math
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from debias.metrics.attention.maps import (
    SCORES,
    attention_iou,
    attention_scores,
    background_attention,
    pointing_game,
    rank_accuracy,
    thresholded_iou,
)
from debias.metrics.attention.scores import AttentionScores
from debias.types import Groups
from tests.metrics.golden_cases import golden_record
from tests.metrics.metrics_cases import BIRDS

golden = partial(golden_record, "attention.json")
#: Masks, then attention: a corner; the lower row; all of a 2x2 image; nothing.
MASKS = torch.tensor([[[1.0, 0], [0, 0]], [[0, 0], [1, 1]], [[1, 1], [1, 1]], [[0, 0], [0, 0]]])
ATTENTION = torch.tensor(
    [[[0.8, 0.2], [0.2, 0]], [[0.9, 0.1], [0, 0]], [[0, 0], [0, 0]], [[0.3, 0.1], [0.1, 0.5]]]
)
nan = math.nan
#: Without foreground_focus, which is not of this module.
OWN = [SCORES[name] for name in SCORES if name != "foreground_focus"]


def maps(case: dict) -> tuple[Tensor, Tensor]:
    inputs = case["inputs"]
    return tuple(torch.tensor(inputs[key], dtype=torch.float64) for key in ("attention", "mask"))


def approx(values: list[float], tolerance: float = 1e-12) -> object:
    return pytest.approx(values, abs=tolerance, rel=0, nan_ok=True)


@pytest.mark.parametrize(
    "name", ["attention_iou_same_resolution", "attention_iou_between_two_heatmaps"]
)
def test_reference_attention_iou(name):
    case = golden(name)
    assert attention_iou(*maps(case)).tolist() == approx(
        case["expected"]["scores"], case["tolerance"]
    )


def test_reference_thresholded_iou():
    case = golden("gradcam_binary_iou_spuco")
    found = thresholded_iou(*maps(case), threshold=case["params"]["threshold"])
    assert found.tolist() == approx(case["expected"]["iou"], case["tolerance"])


def test_thresholds_of_map_and_mask_are_apart():
    """Attended above .5: pixels 0 1; above .7: 0. Inside above .5: 1; above .3: 0 1 2; no pixel
    equal to one is in.
    """
    attention, mask = torch.tensor([[[0.8, 0.7, 0.5]]]), torch.tensor([[[0.4, 0.9, 0.5]]])
    assert thresholded_iou(attention, mask).item() == 1 / 2
    assert thresholded_iou(attention, mask, threshold=0.7).item() == 0
    assert thresholded_iou(attention, mask, mask_threshold=0.3).item() == 2 / 3
    assert thresholded_iou(attention, mask, threshold=0.7, mask_threshold=0.3).item() == 1 / 3


def test_background_attention_is_what_foreground_focus_leaves():
    """Focus x area is the share inside: golden focus 1.2967 x .25 leaves .6758."""
    case = golden("foraug_foreground_focus")
    expected = case["expected"]
    inside = np.multiply(expected["fg_focus"], expected["area_fraction"])
    assert background_attention(*maps(case)).tolist() == approx(list(1 - inside), case["tolerance"])


def test_worked_scores():
    """Image 0: A = .8 .2 / .2 0 over 1.2 = 2/3 1/6 / 1/6 0, M = 1 in the corner.

    Attention-IoU: (2/3) / ((5/6)^2 + 2 (1/12)^2) = (2/3) / (102/144) = 16/17. Outside 1/3. Above
    .5: the corner alone. Image 1: nothing inside but .1's neighbour, all on the upper row: 0
    throughout. Image 2: nothing is attended to. Image 3: the mask is empty.
    """
    found = {name: score(ATTENTION, MASKS).tolist() for name, score in SCORES.items()}
    assert found["attention_iou"] == approx([16 / 17, 0, nan, nan], 1e-7)
    assert found["background_attention"] == approx([1 / 3, 1, nan, nan], 1e-7)
    assert found["foreground_focus"] == approx([8 / 3, 0, nan, nan], 1e-6)
    assert found["thresholded_iou"] == approx([1, 0, 0, 0])
    assert found["rank_accuracy"] == approx([1, 0, 1, nan])
    assert found["pointing_game"] == approx([1, 0, nan, nan])


def test_negative_attribution_is_no_attention():
    """.5 inside, .5 outside, and -3 inside, which does not count: half of it is background."""
    attention = torch.tensor([[[0.5, -3.0], [0.5, 0.0]]])
    assert background_attention(attention, torch.tensor([[[1.0, 1.0], [0.0, 0.0]]])).item() == 0.5


def naive(attention: Tensor, mask: Tensor) -> dict[str, float]:
    """All scores of one image, pixel by pixel."""
    a = [value.item() for value in attention.flatten()]
    m = [value.item() for value in mask.flatten()]
    inside = [value > 0.5 for value in m]
    found = dict.fromkeys(SCORES, nan)
    if sum(a) > 0 and sum(m) > 0:
        p, q = [value / sum(a) for value in a], [value / sum(m) for value in m]
        product = sum(x * y for x, y in zip(p, q, strict=True))
        found["attention_iou"] = product / sum(
            ((x + y) / 2) ** 2 for x, y in zip(p, q, strict=True)
        )
        within = sum(x * y for x, y in zip(p, m, strict=True))
        found["background_attention"] = 1 - within
        found["foreground_focus"] = within / (sum(m) / len(m))
    both = sum(x > 0.5 and y for x, y in zip(a, inside, strict=True))
    either = sum(x > 0.5 or y for x, y in zip(a, inside, strict=True))
    found["thresholded_iou"] = both / either if either else 0.0
    if any(inside):
        ranked = sorted(range(len(a)), key=lambda place: (-a[place], place))
        found["rank_accuracy"] = sum(inside[place] for place in ranked[: sum(inside)]) / sum(inside)
        if max(a) > min(a):
            found["pointing_game"] = float(inside[ranked[0]])
    return found


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([(1, 1), (2, 3), (5, 4)]), st.booleans())
def test_scores_agree_with_the_definition_pixel_by_pixel(seed, size, ties):
    generator = torch.Generator().manual_seed(seed)
    attention = torch.rand(6, *size, generator=generator, dtype=torch.float64)
    attention = (attention * 3).round() / 3 if ties else attention
    mask = torch.rand(6, *size, generator=generator, dtype=torch.float64)
    mask[:3] = mask[:3].round()
    attention[0], mask[1] = 0, 0
    found = attention_scores(attention, mask)
    for row in range(6):
        expected = naive(attention[row], mask[row])
        assert {name: values[row].item() for name, values in found.items()} == {
            name: approx(value) for name, value in expected.items()
        }


def test_attention_iou_is_symmetric_and_blind_to_scale():
    generator = torch.Generator().manual_seed(0)
    one, two = torch.rand(2, 5, 3, 4, generator=generator, dtype=torch.float64)
    found = attention_iou(one, two)
    assert found.tolist() == approx(attention_iou(two * 7, one / 3).tolist())
    assert attention_iou(one, one * 2).tolist() == approx([1.0] * 5)
    assert bool(((found > 0) & (found < 1)).all())


@pytest.mark.parametrize("score", OWN)
def test_maps_of_different_sizes_are_refused(score):
    with pytest.raises(ValueError, match=r"\(2, 4, 4\) and \(2, 2, 2\)\. Resize"):
        score(torch.ones(2, 4, 4), torch.ones(2, 2, 2))


# --- averages ---

VALUES = torch.tensor([[1.0, 0.5, 0.0, nan, 0.25, 0.75]])
GROUP = torch.tensor([0, 0, 1, 3, 3, -1])
CORRECT = torch.tensor([True, False, True, True, True, False])


def averages(scores: Tensor, group: Tensor, correct: Tensor) -> dict[str, float]:
    metric = AttentionScores(BIRDS, names=("s",))
    metric.update({"s": scores}, group, correct)
    return {name: value.item() for name, value in metric.compute().items()}


def test_worked_averages():
    """Defined: 1, .5 (landbird-land), 0 (landbird-water), .25 (waterbird-water), .75 (unknown
    bias); one NaN.

    Mean 2.5/5; squares 1 + .25 + .0625 + .5625 = 1.875, variance 1.875/5 - .25 = .125, deviation
    sqrt(.125/5). Right: 1, 0, .25; wrong: .5, .75. Aligned (0 and 3): 1, .5, .25; conflicting: 0.
    Group 2 is empty.
    """
    expected = {
        "s": 0.5,
        "s/deviation": math.sqrt(0.025),
        "s/undefined": 1 / 6,
        "s/correct": 1.25 / 3,
        "s/wrong": 0.625,
        "s/bias_aligned": 1.75 / 3,
        "s/bias_conflicting": 0.0,
        "s/landbird-land": 0.75,
        "s/landbird-water": 0.0,
        "s/waterbird-land": nan,
        "s/waterbird-water": 0.25,
    }
    found = averages(VALUES[0], GROUP, CORRECT)
    assert found == {name: approx(value) for name, value in expected.items()}


def test_without_any_score_all_is_nan():
    found = averages(torch.full((2,), nan), torch.tensor([0, 1]), torch.tensor([True, True]))
    assert found.pop("s/undefined") == 1.0
    assert all(math.isnan(value) for value in found.values())


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(0, 12), st.integers(1, 5))
def test_averages_agree_with_a_loop_under_any_batching(seed, count, size):
    generator = torch.Generator().manual_seed(seed)
    groups = Groups(("a", "b"), ("x", "y", "z"), aligned=((0, 0), (1, 2)))
    scores = torch.rand(2, count, generator=generator, dtype=torch.float64)
    scores[scores < 0.2] = nan
    group = torch.randint(-1, 6, (count,), generator=generator)
    correct = torch.rand(count, generator=generator) < 0.5
    metric = AttentionScores(groups, names=("p", "q"))
    for rows in torch.arange(count).split(size) if count else []:
        metric.update({"p": scores[0, rows], "q": scores[1, rows]}, group[rows], correct[rows])
    if not count:
        metric.update({"p": scores[0], "q": scores[1]}, group, correct)
    found = {name: value.item() for name, value in metric.compute().items()}
    for row, name in enumerate(("p", "q")):
        facts = list(zip(scores[row].tolist(), group.tolist(), correct.tolist(), strict=True))
        known = [fact for fact in facts if fact[0] == fact[0]]
        parts = {name: known, f"{name}/correct": [fact for fact in known if fact[2]]}
        parts[f"{name}/wrong"] = [fact for fact in known if not fact[2]]
        parts[f"{name}/bias_aligned"] = [fact for fact in known if fact[1] in (0, 5)]
        parts[f"{name}/bias_conflicting"] = [fact for fact in known if fact[1] in (1, 2, 3, 4)]
        parts |= {
            f"{name}/{title}": [f for f in known if f[1] == g]
            for g, title in enumerate(groups.names)
        }
        for key, part in parts.items():
            mean = sum(fact[0] for fact in part) / len(part) if part else nan
            assert found[key] == approx(mean), key


def test_with_several_labels_one_label_is_averaged_at_a_time():
    """Multi-label: label 1's groups are 4 to 7 of 8, ``2 * label + target`` times two biases."""
    groups = Groups(("no A", "A", "no B", "B"), ("x", "y"), multi_label=True)
    target, bias = torch.tensor([[0, 1], [1, 0], [1, 1], [0, 0]]), torch.tensor([0, 1, 1, -1])
    group, correct = groups.encode(target, bias)[:, 1], torch.tensor([True, False, True, True])
    metric = AttentionScores(groups)
    metric.update(attention_scores(ATTENTION, MASKS), group, correct)
    report = {name: value.item() for name, value in metric.compute().items()}
    assert report["attention_iou/B-x"] == approx(16 / 17, 1e-7)
    assert report["attention_iou/no B-y"] == 0
    assert all(math.isnan(report[f"attention_iou/{name}"]) for name in ("no A-x", "A-x", "B-y"))
    assert set(SCORES) == {name for name in report if "/" not in name}


def test_wrong_input_is_refused():
    metric = AttentionScores(BIRDS, names=("s",))
    with pytest.raises(ValueError, match="scores must have the names s; got t"):
        metric.update({"t": VALUES[0]}, GROUP, CORRECT)
    with pytest.raises(ValueError, match="column of one label"):
        metric.update({"s": VALUES[0]}, GROUP[:, None].expand(-1, 2), CORRECT)
    metric.update({"s": VALUES[0]}, GROUP + 1, CORRECT)
    with pytest.raises(ValueError, match=r"group must lie in \[-1, 4\); got 4"):
        metric.compute()


def test_pointing_game_and_rank_accuracy_take_any_scale():
    attention = torch.tensor([[[-5.0, -1.0], [-9.0, -7.0]]])
    mask = torch.tensor([[[1.0, 1.0], [0.0, 0.0]]])
    assert (pointing_game(attention, mask).item(), rank_accuracy(attention, mask).item()) == (
        1.0,
        1.0,
    )
