"""The embedding association test, against the golden values, a worked case and a naive loop."""

import math
from itertools import combinations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from debias.metrics.leakage.ieat import association_test, associations, effect_interval
from tests.metrics.golden_cases import golden_file

CASES = golden_file("ieat.json")


def random_sets(seed: int, sizes: tuple[int, ...] = (4, 4, 3, 2)) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(size, 5, generator=generator, dtype=torch.float64) for size in sizes]


def cosine(one: Tensor, other: Tensor) -> float:
    dot = sum(p * q for p, q in zip(one.tolist(), other.tolist(), strict=True))
    return dot / math.sqrt(sum(p * p for p in one.tolist()) * sum(q * q for q in other.tolist()))


def naive(x: Tensor, y: Tensor, a: Tensor, b: Tensor) -> tuple[list[float], float, float]:
    """s, effect and exact p, one sum at a time."""
    s = [
        sum(cosine(w, one) for one in a) / len(a) - sum(cosine(w, one) for one in b) / len(b)
        for w in torch.cat((x, y))
    ]
    n, mean = len(x), sum(s) / len(s)
    deviation = math.sqrt(sum((value - mean) ** 2 for value in s) / (len(s) - 1))
    effect = (sum(s[:n]) / n - sum(s[n:]) / n) / deviation
    sums = [sum(s[i] for i in half) for half in combinations(range(2 * n), n)]
    return s, effect, sum(value >= sum(s[:n]) - 1e-12 for value in sums) / len(sums)


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 10_000))
def test_the_same_as_a_loop(seed: int) -> None:
    sets = random_sets(seed)
    s, effect, p = naive(*sets)
    torch.testing.assert_close(associations(torch.cat(sets[:2]), *sets[2:]).tolist(), s)
    found = association_test(*sets)
    assert found.effect_size.item() == pytest.approx(effect, abs=1e-10)
    assert found.p_value.item() == pytest.approx(p, abs=1e-12)


def test_swaps_turn_the_sign_and_scales_change_nothing() -> None:
    x, y, a, b = random_sets(0)
    effect = association_test(x, y, a, b).effect_size
    torch.testing.assert_close(association_test(y, x, a, b).effect_size, -effect)
    torch.testing.assert_close(association_test(x, y, b, a).effect_size, -effect)
    torch.testing.assert_close(association_test(3 * x, y / 7, a * 2, b).effect_size, effect)


def test_the_greatest_effect_and_its_p_value() -> None:
    """s is 1 for X and -1 for Y: mean difference 2, deviation sqrt(6/5); 1 halving of 20 has it."""
    ones = torch.tensor([[1.0, 0.0]])
    x, y = ones.expand(3, 2), torch.tensor([[0.0, 1.0]]).expand(3, 2)
    found = association_test(x, y, ones, ones.flip(1))
    assert found.effect_size.item() == pytest.approx(2 / math.sqrt(6 / 5), abs=1e-12)
    assert found.p_value.item() == pytest.approx(1 / 20, abs=1e-12)


def test_where_nothing_varies_every_halving_ties() -> None:
    ones = torch.ones(3, 4)
    found = association_test(ones, ones, torch.eye(4)[:2], torch.eye(4)[2:])
    assert found.effect_size.isnan()
    assert found.p_value == 1


def test_the_order_of_a_sum_breaks_no_tie() -> None:
    """Of s = .1 .2 .3 | .3 .2 .1, 8 of 20 halvings have the sum .6 of X, half the rest more: 14/20.

    Added in the order of Y, the same three values give .6 and in that of X .6000000000000001.
    """
    s = torch.tensor([0.1, 0.2, 0.3, 0.3, 0.2, 0.1], dtype=torch.float64)
    x = torch.stack((s, (1 - s**2).sqrt()), dim=1)  # cosines s with the first axis
    found = association_test(
        x[:3], x[3:], torch.tensor([[1.0, 0]]), torch.tensor([[1.0, 0], [-1.0, 0]])
    )
    assert found.p_value.item() == pytest.approx(14 / 20, abs=1e-12)


def test_p_needs_sets_of_one_size_and_the_effect_does_not() -> None:
    found = association_test(*random_sets(0, (4, 3, 2, 2)))
    assert not found.effect_size.isnan()
    assert found.p_value.isnan()


@pytest.mark.parametrize("empty", [0, 1, 2, 3])
def test_an_empty_set_is_undefined(empty: int) -> None:
    sets = random_sets(0)
    sets[empty] = sets[empty][:0]
    found = association_test(*sets)
    assert found.effect_size.isnan()
    assert found.p_value.isnan()


def test_drawn_halvings_are_near_all_of_them_and_reproducible() -> None:
    """C(16, 8) = 12870 halvings; four standard errors of 4000 draws are at most 4 * 0.5 /
    sqrt(4000) = 0.032.
    """
    sets = random_sets(3, (8, 8, 3, 3))
    exact = association_test(*sets, permutations=12_870).p_value
    state = torch.get_rng_state()
    drawn = [association_test(*sets, permutations=4000, seed=seed).p_value for seed in (0, 0, 1)]
    assert torch.equal(torch.get_rng_state(), state)
    assert drawn[0] == drawn[1] != drawn[2]
    assert drawn[0].item() == pytest.approx(exact.item(), abs=0.032)
    assert association_test(*sets, permutations=1).p_value == 1


@pytest.mark.parametrize(
    "change", [{"x": torch.zeros(3)}, {"b": torch.zeros(2, 4)}, {"permutations": 0}]
)
def test_what_has_no_meaning_is_refused(change: dict) -> None:
    arguments = dict(zip("xyab", random_sets(0), strict=True)) | change
    with pytest.raises(ValueError, match="four sets of features"):
        association_test(**arguments)


@pytest.mark.parametrize("name", CASES)
def test_golden(name: str) -> None:
    case = CASES[name]
    x, y, a, b = (torch.tensor(case["inputs"][key], dtype=torch.float64) for key in "XYAB")
    expected = case["expected"]
    found = association_test(x, y, a, b)
    assert found.effect_size.item() == pytest.approx(expected["effect_size"], abs=1e-9)
    if "s_wAB" in expected:
        s = associations(torch.cat((x, y)), a, b)
        assert s.tolist() == pytest.approx(expected["s_wAB"], abs=1e-9)
        difference = s[: len(x)].sum() - s[len(x) :].sum()
        assert difference.item() == pytest.approx(expected["statistic_sum"], abs=1e-9)
        assert found.p_value.item() == pytest.approx(expected["p_value"], abs=1e-9)
    if "p_exact" in expected:
        exact = association_test(x, y, a, b, permutations=48_620).p_value
        assert exact.item() == pytest.approx(expected["p_exact"], abs=1e-9)
        drawn = association_test(x, y, a, b, permutations=20_000).p_value
        assert drawn.item() == pytest.approx(
            expected["p_sampled"], abs=case["tolerance"]["p_sampled"]
        )


def test_the_interval_holds_the_effect_and_mirrors_it() -> None:
    """By hand for four of each: r = 0.5 d sqrt(8 / 7), and artanh r -+ 1.96 / sqrt(5)."""
    low, high = effect_interval(1.2, 4, 4)
    shifted = math.atanh(0.6 * math.sqrt(8 / 7)) + 1.959964 / math.sqrt(5)
    assert high == pytest.approx(2 * math.tanh(shifted))
    assert low < 0 < 1.2 < high < 2
    assert effect_interval(-1.2, 4, 4) == pytest.approx((-high, -low))
    assert effect_interval(1.2, 40, 40).low > 0.8
    assert effect_interval(1.2, 3, 9).high < 1 / math.sqrt(0.25 * 0.75)


def test_an_effect_without_variance_is_its_interval_and_few_images_have_none() -> None:
    greatest = 2 * math.sqrt(9 / 10)  # all of X alike, and all of Y
    assert effect_interval(greatest, 5, 5) == (greatest, greatest)
    for few in (effect_interval(1.0, 2, 1), effect_interval(math.nan, 9, 9)):
        assert all(map(math.isnan, few))


def test_intervals_hold_the_true_effect() -> None:
    """In normal data with a difference of two standard deviations, d is 2 / sqrt(2)."""
    draws = np.random.default_rng(0).normal(size=(400, 2, 6))
    draws[:, 0] += 2
    held = 0
    for x, y in draws:
        d = (x.mean() - y.mean()) / np.concatenate([x, y]).std(ddof=1)
        low, high = effect_interval(d, 6, 6)
        held += low <= math.sqrt(2) <= high
    assert 0.94 < held / 400 < 0.995
