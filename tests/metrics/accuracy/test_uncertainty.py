"""Intervals against published values of statsmodels and SciPy, and their promise: coverage."""

import pytest
import torch
from scipy.stats import binom, binomtest

from debias.metrics.accuracy.uncertainty import (
    percentile_interval,
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
def test_simultaneous_interval_equals_the_golden_value() -> None:
    case = CASES["simultaneous_wilson_worst_group"]
    correct, total = torch.tensor(case["inputs"]["correct_total"]).T
    per_group = torch.stack(wilson_interval(correct, total, level=1 - 0.05 / 4), dim=1)
    expected = torch.tensor(case["expected"]["per_group"], dtype=torch.float64)
    torch.testing.assert_close(per_group, expected, atol=1e-9, rtol=0)
    found = [end.item() for end in worst_group_interval(correct, total)]
    assert found == pytest.approx(case["expected"]["worst_group_interval"], abs=case["tolerance"])


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


def test_wilson_of_nothing_is_everything_and_of_extremes_is_exact() -> None:
    low, high = wilson_interval(torch.tensor([0, 0, 642]), torch.tensor([0, 5, 642]))
    assert (low[0].item(), high[0].item()) == (0.0, 1.0)
    assert low[1].item() == 0.0
    assert high[2].item() == 1.0


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
        with pytest.raises(ValueError, match=r"level must lie in \(0, 1\)"):
            call()
