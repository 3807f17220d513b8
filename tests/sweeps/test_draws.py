"""Draws: reproducible, independent of each other, in range, and of the asked distribution."""

import math

import pytest
from scipy.stats import kstest

from debias.sweeps.draws import draw

RATES = {"optimizer.lr": {"log_uniform": [1e-5, 1e-2]}}


def test_the_same_seed_draws_the_same():
    assert draw(5, seed=3, values=RATES) == draw(5, seed=3, values=RATES)
    assert draw(5, seed=3, values=RATES) != draw(5, seed=4, values=RATES)


def test_more_draws_go_on_where_fewer_ended():
    assert draw(9, seed=3, values=RATES)[:5] == draw(5, seed=3, values=RATES)


def test_another_key_changes_nothing_in_the_rest():
    more = draw(5, seed=3, values={"clip": {"uniform": [0, 1]}, **RATES})
    assert [{"optimizer.lr": row["optimizer.lr"]} for row in more] == draw(5, seed=3, values=RATES)
    assert len({row["clip"] for row in more}) == 5


def test_two_keys_of_one_distribution_are_independent():
    rows = draw(2000, seed=0, values={"a": {"uniform": [0, 1]}, "b": {"uniform": [0, 1]}})
    covariance = sum((row["a"] - 0.5) * (row["b"] - 0.5) for row in rows) / 2000
    assert abs(covariance * 12) < 0.1  # the correlation; its standard deviation is 0.022


def test_log_uniform():
    """The logarithm is uniform between those of the bounds."""
    values = [row["optimizer.lr"] for row in draw(2000, seed=0, values=RATES)]
    assert all(1e-5 <= value <= 1e-2 for value in values)
    assert kstest([(math.log10(value) + 5) / 3 for value in values], "uniform").pvalue > 0.01
    assert kstest([value / 1e-2 for value in values], "uniform").pvalue < 1e-10


def test_uniform():
    values = [row["clip"] for row in draw(2000, seed=0, values={"clip": {"uniform": [-1, 3]}})]
    assert kstest([(value + 1) / 4 for value in values], "uniform").pvalue > 0.01


def test_rounding_does_not_leave_the_bounds():
    """1.23456 and 1.23457 would both round to 1.235, which lies above them."""
    values = [
        row["clip"] for row in draw(9, seed=0, values={"clip": {"uniform": [1.23456, 1.23457]}})
    ]
    assert set(values) == {1.23457}


def test_choice():
    values = [
        row["clip"] for row in draw(3000, seed=0, values={"clip": {"choice": [None, 1, "x"]}})
    ]
    assert set(values) == {None, 1, "x"}
    # 5 standard deviations
    assert all(abs(values.count(value) - 1000) < 130 for value in (None, 1, "x"))


@pytest.mark.parametrize(
    ("distribution", "message"),
    [
        (
            {"log_uniform": [0, 1]},
            r"log_uniform needs two positive numbers \[low, high\]; got \[0, 1\]",
        ),
        ({"uniform": [1, 1]}, "uniform needs two numbers"),
        ({"uniform": [1]}, "uniform needs two numbers"),
        ({"uniform": ["a", 2]}, "uniform needs two numbers"),
        ({"choice": []}, "choice needs a list of values"),
        ({"loguniform": [1, 2]}, "unknown distribution 'loguniform'; did you mean 'log_uniform'"),
        ({"uniform": [0, 1], "choice": [1]}, "must name one distribution"),
        ([1, 2], "must name one distribution"),
    ],
)
def test_mistakes(distribution, message):
    with pytest.raises(
        ValueError, match=rf"^draws\.values\.clip:? .*{message}|^draws\.values\.clip {message}"
    ):
        draw(1, seed=0, values={"clip": distribution})
