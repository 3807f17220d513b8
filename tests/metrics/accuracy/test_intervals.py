"""Intervals against published values of statsmodels and SciPy, and their promise: coverage."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from scipy.stats import beta, binom, binomtest

from debias.metrics.accuracy.intervals import (
    Interval,
    agresti_coull_interval,
    clopper_pearson_interval,
    corrected_wilson_interval,
    jeffreys_interval,
    normal_interval,
    percentile_interval,
    resampled_rows,
    resampled_worst_group,
    wilson_interval,
    worst_group_interval,
)
from tests.metrics.golden_cases import golden_file

CASES = golden_file("confidence_intervals.json")
needs_golden = pytest.mark.skipif(not CASES, reason="golden files are not at hand")


def wilson(correct: int, total: int, level: float = 0.95) -> list[float]:
    return [
        end.item()
        for end in wilson_interval(torch.tensor(correct), torch.tensor(total), level=level)
    ]


@needs_golden
@pytest.mark.parametrize("name", ["proportion_intervals_95", "proportion_intervals_scipy"])
def test_wilson_equals_the_golden_values(name: str) -> None:
    for row in CASES[name]["expected"]:
        assert wilson(row["k"], row["n"]) == pytest.approx(
            row["wilson"], abs=CASES[name]["tolerance"]
        )


@needs_golden
@pytest.mark.parametrize(
    ("case", "name", "interval"),
    [
        ("proportion_intervals_95", "agresti_coull", agresti_coull_interval),
        ("proportion_intervals_95", "beta", clopper_pearson_interval),
        ("proportion_intervals_scipy", "exact", clopper_pearson_interval),
        ("proportion_intervals_95", "jeffreys", jeffreys_interval),
        ("proportion_intervals_95", "normal", normal_interval),
        ("proportion_intervals_scipy", "wilsoncc", corrected_wilson_interval),
    ],
)
def test_the_other_intervals_equal_the_golden_values(
    case: str, name: str, interval: Callable[..., Interval]
) -> None:
    rows = CASES[case]["expected"]
    correct, total = (torch.tensor([row[key] for row in rows]) for key in ("k", "n"))
    expected = torch.tensor([row[name] for row in rows], dtype=torch.float64)
    torch.testing.assert_close(
        torch.stack(interval(correct, total), dim=1), expected, atol=1e-9, rtol=0
    )


@needs_golden
def test_simultaneous_interval_equals_the_golden_value() -> None:
    case = CASES["simultaneous_wilson_worst_group"]
    correct, total = torch.tensor(case["inputs"]["correct_total"]).T
    per_group = torch.stack(wilson_interval(correct, total, level=1 - 0.05 / 4), dim=1)
    expected = torch.tensor(case["expected"]["per_group"], dtype=torch.float64)
    torch.testing.assert_close(per_group, expected, atol=1e-9, rtol=0)
    found = [end.item() for end in worst_group_interval(correct, total)]
    assert found == pytest.approx(case["expected"]["worst_group_interval"], abs=case["tolerance"])


@needs_golden
def test_bootstrap_equals_the_golden_interval_within_its_noise() -> None:
    case = CASES["stratified_bootstrap_worst_group"]
    group, target, prediction = (
        torch.tensor(case["inputs"][key]) for key in ("group", "target", "pred")
    )
    correct = torch.bincount(group[target == prediction], minlength=4)
    total = torch.bincount(group, minlength=4)
    expected, tolerance = case["expected"], case["tolerance"]
    point = (correct / total).min().item()
    values = resampled_worst_group(correct, total, generator=torch.Generator().manual_seed(0))
    low, high = (end.item() for end in percentile_interval(values))
    assert point == pytest.approx(expected["point"], abs=1e-7)
    assert [low, high] == pytest.approx(expected["percentile95"], abs=tolerance["percentile95"])
    assert [2 * point - high, 2 * point - low] == pytest.approx(
        expected["basic95"], abs=tolerance["basic95"]
    )
    assert values.std().item() == pytest.approx(
        expected["standard_error"], abs=tolerance["standard_error"]
    )


@pytest.mark.parametrize(
    ("correct", "total", "expected"),
    [
        (50, 56, [0.7853, 0.9500]),
        (9, 10, [0.5958, 0.9821]),
        (10, 10, [0.7225, 1.0]),
        (0, 5, [0.0, 0.4345]),
    ],
)
def test_wilson_of_the_worked_examples(correct: int, total: int, expected: list[float]) -> None:
    assert wilson(correct, total) == pytest.approx(expected, abs=5e-5)


@pytest.mark.parametrize("level", [0.5, 0.9, 0.95, 0.999])
def test_wilson_solves_its_definition(level: float) -> None:
    """The ends are the p with (k/n - p)^2 = z^2 p (1 - p) / n, and SciPy finds the same."""
    for correct, total in ((3, 7), (641, 642), (1, 4795), (0, 3), (3, 3)):
        found = wilson(correct, total, level)
        reference = binomtest(correct, total).proportion_ci(level, method="wilson")
        assert found == pytest.approx([reference.low, reference.high], abs=1e-12)
        assert 0.0 <= found[0] <= correct / total <= found[1] <= 1.0


@pytest.mark.parametrize("level", [0.5, 0.9, 0.95, 0.999])
def test_corrected_wilson_is_that_of_scipy_and_wider(level: float) -> None:
    for correct, total in ((3, 7), (641, 642), (1, 4795), (0, 3), (3, 3), (1, 1), (0, 1), (1, 2)):
        low, high = corrected_wilson_interval(
            torch.tensor(correct), torch.tensor(total), level=level
        )
        reference = binomtest(correct, total).proportion_ci(level, method="wilsoncc")
        assert [low.item(), high.item()] == pytest.approx(
            [reference.low, reference.high], abs=1e-11
        )
        narrow = wilson(correct, total, level)
        assert low.item() <= narrow[0] + 1e-12
        assert narrow[1] <= high.item() + 1e-12


def test_intervals_of_nothing_are_everything_and_wald_s_is_a_point_at_the_ends() -> None:
    none = torch.tensor(0)
    assert [end.item() for end in normal_interval(none, none)] == [0.0, 1.0]
    assert [end.item() for end in corrected_wilson_interval(none, none)] == [0.0, 1.0]
    assert [end.item() for end in normal_interval(torch.tensor(5), torch.tensor(5))] == [1.0, 1.0]


def test_wilson_of_nothing_is_everything_and_of_extremes_is_exact() -> None:
    low, high = wilson_interval(torch.tensor([0, 0, 642]), torch.tensor([0, 5, 642]))
    assert (low[0].item(), high[0].item()) == (0.0, 1.0)
    assert low[1].item() == 0.0
    assert high[2].item() == 1.0


@pytest.mark.parametrize("level", [0.5, 0.95, 0.999])
def test_clopper_pearson_leaves_equal_tails(level: float) -> None:
    """At the low end k or more has probability (1 - level)/2, at the high end k or fewer."""
    total = torch.full((8,), 7)
    low, high = clopper_pearson_interval(torch.arange(8), total, level=level)
    for k in range(8):
        expected = (1 - level) / 2
        assert binom.sf(k - 1, 7, low[k].item()) == pytest.approx(expected if k else 1.0, abs=1e-12)
        assert binom.cdf(k, 7, high[k].item()) == pytest.approx(
            expected if k < 7 else 1.0, abs=1e-12
        )


def test_jeffreys_holds_the_posterior_mass_and_agresti_coull_holds_wilson() -> None:
    correct, total = torch.tensor([0, 3, 7]), torch.full((3,), 7)
    low, high = jeffreys_interval(correct, total, level=0.9)
    ends = beta.cdf(torch.stack((low, high)).numpy(), correct.numpy() + 0.5, 7.5 - correct.numpy())
    assert ends.tolist() == [
        pytest.approx([0.05] * 3, abs=1e-12),
        pytest.approx([0.95] * 3, abs=1e-12),
    ]
    (low, high), inner = agresti_coull_interval(correct, total), wilson_interval(correct, total)
    assert (low <= inner.low + 1e-15).all()
    assert (high >= inner.high - 1e-15).all()
    assert (low[0].item(), high[2].item()) == (0.0, 1.0)


@pytest.mark.parametrize(
    "interval", [agresti_coull_interval, clopper_pearson_interval, jeffreys_interval]
)
def test_every_interval_of_nothing_is_everything(interval: Callable[..., Interval]) -> None:
    zero = torch.tensor([0])
    assert [end.item() for end in interval(zero, zero)] == pytest.approx([0.0, 1.0], abs=1e-15)
    with pytest.raises(ValueError, match="coverage"):
        interval(zero, zero, level=95)


def test_worst_group_interval_of_the_worked_example() -> None:
    """95/100, 45/50, 14/20, 9/10: [.424, .881], which is not the interval of 14/20 by itself."""
    correct, total = torch.tensor([[95, 100], [45, 50], [14, 20], [9, 10]]).T
    found = [end.item() for end in worst_group_interval(correct, total)]
    assert found == pytest.approx([0.424, 0.881], abs=5e-4)
    alone = wilson(14, 20)
    assert found[0] < alone[0] < alone[1] < found[1]


def test_an_empty_group_changes_nothing_and_one_group_is_wilson() -> None:
    correct, total = torch.tensor([95, 14, 0]), torch.tensor([100, 20, 0])
    assert worst_group_interval(correct, total) == worst_group_interval(correct[:2], total[:2])
    assert [end.item() for end in worst_group_interval(correct[:1], total[:1])] == pytest.approx(
        wilson(95, 100)
    )
    assert [end.item() for end in worst_group_interval(correct[2:], total[2:])] == [0.0, 1.0]


def test_worst_group_interval_covers_the_true_worst_group() -> None:
    """Four groups of true accuracy .9, sizes as small as 10, by exact enumeration: the chance to
    cover .9 is >= 95 %.

    It is missed where some high end is under .9, or where every low end is over .9; groups are
    independent.
    """
    every_high_covers, every_low_misses = 1.0, 1.0
    for n in (100, 50, 20, 10):
        right = torch.arange(n + 1)
        low, high = wilson_interval(right, torch.full_like(right, n), level=1 - 0.05 / 4)
        chance = torch.from_numpy(binom.pmf(right.numpy(), n, 0.9))
        every_high_covers *= chance[high >= 0.9].sum().item()
        every_low_misses *= chance[low > 0.9].sum().item()
    assert every_high_covers - every_low_misses >= 0.95


def test_bootstrap_draws_inside_each_group() -> None:
    """A group always right and one always wrong resample to themselves; of 1/2 and 2/2, the minimum
    has mean 1/2.
    """
    seed = torch.Generator().manual_seed
    assert set(
        resampled_worst_group(
            torch.tensor([5, 0]), torch.tensor([5, 9]), generator=seed(0)
        ).tolist()
    ) == {0.0}
    values = resampled_worst_group(
        torch.tensor([1, 2, 0]), torch.tensor([2, 2, 0]), generator=seed(0), resamples=4000
    )
    assert values.shape == (4000,)
    assert set(values.tolist()) == {0.0, 0.5, 1.0}
    assert values.mean().item() == pytest.approx(0.5, abs=4 * math.sqrt(1 / 8 / 4000))


def test_bootstrap_depends_on_the_generator_only() -> None:
    counts = torch.tensor([3, 7]), torch.tensor([9, 8])
    first, again, other = (
        resampled_worst_group(*counts, generator=torch.Generator().manual_seed(seed))
        for seed in (1, 1, 2)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_bootstrap_of_nothing_is_nan() -> None:
    zero = torch.zeros(2, dtype=torch.long)
    values = resampled_worst_group(zero, zero, generator=torch.Generator(), resamples=3)
    assert values.isnan().tolist() == [True] * 3


def test_resampled_rows_keep_the_size_of_each_group_and_draw_evenly() -> None:
    """Groups -1, 0 and 4 in any order; of group 0 = rows 1, 3, 4 each is drawn 3 * 1/3 = 1 time a
    sample on average.
    """
    group, generator = torch.tensor([4, 0, -1, 0, 0, 4]), torch.Generator().manual_seed(0)
    drawn = torch.stack([resampled_rows(group, generator=generator) for _ in range(3000)])
    assert (group[drawn].sort(dim=1).values == group.sort().values).all()
    times = torch.bincount(drawn.flatten(), minlength=6) / 3000
    assert times[2].item() == 1.0
    assert times.tolist() == pytest.approx([1.0] * 6, abs=4 * math.sqrt(2 / 3 / 3000))
    assert resampled_rows(group[:0], generator=generator).tolist() == []


def test_percentile_interval_interpolates_the_quantiles() -> None:
    """0, 1, ..., 100: the 5 % and 95 % quantiles are 5 and 95."""
    low, high = percentile_interval(torch.arange(101, dtype=torch.float64), level=0.9)
    assert (low.item(), high.item()) == pytest.approx((5.0, 95.0), abs=1e-9)


@pytest.mark.parametrize("level", [0.0, 1.0, 95.0])
def test_a_level_that_is_no_coverage_is_refused(level: float) -> None:
    one = torch.tensor([1])
    for call in (
        lambda: wilson_interval(one, one, level=level),
        lambda: worst_group_interval(one, one, level=level),
        lambda: percentile_interval(one.double(), level=level),
    ):
        with pytest.raises(ValueError, match="coverage"):
            call()
