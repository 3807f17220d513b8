"""Leakage: what a fresh attacker finds in features that are known to hold the bias, or not to."""

import math

import pytest
import torch
from torch import Generator, Tensor

from debias.metrics.leakage.attackers import BiasRows, LogisticAttacker
from debias.metrics.leakage.features import (
    feature_leakage,
    feature_leakage_report,
    leakage,
)


def sample(size: int, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Features of which the first two tell the target and the third the bias; the bias is the
    target 9 times in 10.
    """
    generator = torch.Generator().manual_seed(seed)
    target = torch.randint(2, (size,), generator=generator)
    bias = torch.where(torch.rand(size, generator=generator) < 0.9, target, 1 - target)
    features = torch.randn(size, 6, generator=generator)
    features[:, :2] += 8 * target[:, None] - 4
    features[:, 2] += 8 * bias - 4
    return features, target, bias


@pytest.mark.parametrize(
    ("accuracy", "expected"), [(0.5, 0.5), (0.75, 0.75), (0.25, 0.75), (0.0, 1.0), (1.0, 1.0)]
)
def test_an_attacker_that_is_always_wrong_knows_the_bias(accuracy: float, expected: float) -> None:
    assert leakage(accuracy) == expected
    assert leakage(accuracy, values=3) == accuracy


def test_what_holds_the_bias_leaks_and_what_does_not_is_at_chance() -> None:
    """On 1000 rows asked, four standard errors of a coin are 4 * 0.5 / sqrt(1000) = 0.063."""
    features, _, bias = sample(4800)
    assert feature_leakage(features[:, 2:], bias, rounds=2).mean > 0.995
    noise = feature_leakage(features[:, 3:], bias, rounds=2)
    assert 0.5 <= noise.mean < 0.563
    assert noise.chance == 0.5


def test_who_knows_the_target_alone_is_at_chance_within_it() -> None:
    """The bias is the target 9 times in 10, so leakage through the target is 0.9; about 230 rows
    are asked within.
    """
    features, target, bias = sample(4800)
    through = feature_leakage(features[:, :2], bias, rounds=2)
    assert through.mean == pytest.approx(0.9, abs=0.04)
    within = feature_leakage(features[:, :2], bias, target=target, rounds=2)
    assert within.mean < 0.5 + 4 * 0.5 / math.sqrt(230)
    assert feature_leakage(features, bias, target=target, rounds=2).mean > 0.95


class Recorder:
    """An attacker that keeps what it was given, and answers that every row has the bias 0."""

    def __init__(self) -> None:
        self.seen: list[tuple[BiasRows, BiasRows, Tensor]] = []

    def __call__(
        self, train: BiasRows, validation: BiasRows, features: Tensor, generator: Generator
    ) -> Tensor:
        self.seen.append((train, validation, features))
        return torch.tensor([[1.0, 0.0]]).expand(len(features), 2)


def test_a_draw_is_balanced_and_its_parts_share_no_row() -> None:
    """Of 9 rows of bias 5 and 30 of bias 2, nine each are drawn: 5 to learn from, 2 to choose by, 2
    to be asked on.
    """
    bias = torch.tensor([5] * 9 + [2] * 30 + [-1] * 4)
    recorder = Recorder()
    result = feature_leakage(torch.arange(43.0), bias, rounds=3, attacker=recorder)
    assert result == (0.5, 0.0, (0.5, 0.5, 0.5), 0.5)
    for train, validation, asked in recorder.seen:
        assert train.bias.bincount().tolist() == [5, 5]
        assert validation.bias.bincount().tolist() == [2, 2]
        rows = torch.cat((train.features, validation.features, asked)).flatten().long()
        assert len(rows.unique()) == 18
        assert rows.max() < 39
        assert (bias[train.features.flatten().long()] == torch.tensor([2, 5])[train.bias]).all()
    assert len({tuple(train.features.flatten().tolist()) for train, _, _ in recorder.seen}) == 3


def test_a_draw_within_targets_is_balanced_in_each() -> None:
    """Class 0 has 8 rows of each bias, class 1 has 12 and 4, class 2 lacks a bias: left out."""
    target = torch.tensor([0] * 16 + [1] * 16 + [2] * 20)
    bias = torch.tensor([0] * 8 + [1] * 8 + [0] * 12 + [1] * 4 + [0] * 20)
    recorder = Recorder()
    feature_leakage(torch.arange(52.0), bias, target=target, rounds=1, attacker=recorder)
    ((train, validation, asked),) = recorder.seen
    for part, sizes in (
        (train.features, [4, 4, 2, 2]),
        (validation.features, [2, 2, 1, 1]),
        (asked, [2, 2, 1, 1]),
    ):
        rows = part.flatten().long()
        assert (2 * target[rows] + bias[rows]).bincount().tolist() == sizes


def test_a_draw_within_labels_is_balanced_in_each_combination() -> None:
    """Of the four combinations of two labels, four rows of either bias, one lacks a bias value."""
    target = torch.tensor([[0, 0], [0, 1], [1, 0], [1, 1]]).repeat_interleave(8, dim=0)
    bias = torch.tensor([0, 1] * 12 + [0] * 8)
    recorder = Recorder()
    feature_leakage(torch.arange(32.0), bias, target=target, rounds=1, attacker=recorder)
    ((train, _, asked),) = recorder.seen
    for part, size in ((train.features, 2), (asked, 1)):
        rows = part.flatten().long()
        cell = 4 * target[rows, 0] + 2 * target[rows, 1] + bias[rows]
        assert cell.bincount().tolist() == [size] * 6


def test_the_report_holds_both_leakages() -> None:
    features, target, bias = sample(400)
    found = feature_leakage_report(features[:, :2], bias, target, rounds=3, seed=4)
    plain = feature_leakage(features[:, :2], bias, rounds=3, seed=4)
    within = feature_leakage(features[:, :2], bias, target=target, rounds=3, seed=4)
    assert list(found.values()) == [plain.mean, within.mean, plain.deviation, within.deviation]
    assert plain.mean > within.mean + 0.2


def test_mean_and_deviation_are_those_of_the_rounds() -> None:
    features, _, bias = sample(200)
    result = feature_leakage(features[:, 3:], bias, rounds=4)
    rounds = torch.tensor(result.rounds, dtype=torch.float64)
    assert len(rounds) == 4
    assert result.mean == pytest.approx(rounds.mean().item(), abs=1e-12)
    assert result.deviation == pytest.approx(
        ((rounds - rounds.mean()) ** 2).mean().sqrt().item(), abs=1e-12
    )
    assert result.deviation > 0


def test_the_scale_of_a_feature_does_not_matter_to_the_logistic_attacker() -> None:
    features, _, bias = sample(200)
    asked = features.double()[:, 3:]
    answers = [
        LogisticAttacker()(
            BiasRows(scaled, bias), BiasRows(scaled, bias), scaled, torch.Generator()
        )
        for scaled in (asked, asked * torch.tensor([1e-3, 1.0, 1e3]) + 7)
    ]
    torch.testing.assert_close(*answers, atol=1e-6, rtol=0)


def test_the_seed_decides_and_the_global_generator_is_left_alone() -> None:
    features, _, bias = sample(300)
    features = features[:, 3:]
    before = torch.get_rng_state()
    first = feature_leakage(features, bias, rounds=2, seed=1)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(7)
    assert feature_leakage(features, bias, rounds=2, seed=1) == first
    assert feature_leakage(features, bias, rounds=2, seed=2) != first


def test_three_values_are_not_folded() -> None:
    bias = torch.arange(3).repeat(40)
    result = feature_leakage(torch.eye(3)[bias], bias, rounds=1)
    assert (result.mean, result.chance) == (1.0, 1 / 3)
    constant = feature_leakage(torch.zeros(120, 2), bias, rounds=1)
    assert constant.mean == pytest.approx(1 / 3)


@pytest.mark.parametrize(
    "bias",
    [[], [-1, -1, -1, -1], [0] * 20, [0] * 20 + [1] * 3],
    ids=["no row", "unknown", "one value", "too few"],
)
def test_nothing_to_learn_is_undefined(bias: list[int]) -> None:
    result = feature_leakage(
        torch.zeros(len(bias), 2), torch.tensor(bias, dtype=torch.long), rounds=2
    )
    assert math.isnan(result.mean)
    assert math.isnan(result.deviation)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"features": torch.zeros(3, 2)}, "one row per sample"),
        ({"features": torch.full((8, 2), torch.nan)}, "must be finite"),
        ({"bias": torch.zeros(8, 1)}, "one row per sample"),
        ({"target": torch.zeros(7)}, "one row per sample"),
        ({"rounds": 0}, "at least 1"),
    ],
)
def test_what_has_no_meaning_is_refused(change: dict[str, object], message: str) -> None:
    arguments = {"features": torch.zeros(8, 2), "bias": torch.arange(8) % 2} | change
    with pytest.raises(ValueError, match=message):
        feature_leakage(arguments.pop("features"), arguments.pop("bias"), **arguments)
