"""Fronts, their order and their volume: by hand, and from independent definitions."""

import itertools
import math
import random

import pytest

from debias.sweeps.search.fronts import (
    crowding,
    front_numbers,
    hypervolume,
    leading,
    undominated,
)

#: Less is better in the dossier of FR-NAS, so the signs are changed.
FOUR = [(-1, -3), (-2, -2), (-3, -1), (-3, -3)]


def clouds(objectives: int, *, values: int = 6, count: int = 30) -> list[list[tuple[int, ...]]]:
    """Ten sets of points on a small grid, with ties and equal points."""
    generator = random.Random(objectives)
    return [
        [tuple(generator.randrange(values) for _ in range(objectives)) for _ in range(count)]
        for _ in range(10)
    ]


def dominates(one: tuple[int, ...], other: tuple[int, ...]) -> bool:
    pairs = list(zip(one, other, strict=True))
    return all(x >= y for x, y in pairs) and any(x > y for x, y in pairs)


def test_front_of_four_points():
    assert undominated(FOUR) == [0, 1, 2]
    assert front_numbers(FOUR) == [0, 0, 0, 1]
    assert undominated([]) == front_numbers([]) == crowding([]) == leading([], 2) == []


@pytest.mark.parametrize("objectives", [1, 2, 3])
def test_fronts_against_the_definition(objectives):
    """A point's front is one more than the highest of the points that dominate it."""
    for points in clouds(objectives):
        numbers = front_numbers(points)
        for point, number in zip(points, numbers, strict=True):
            above = [n for p, n in zip(points, numbers, strict=True) if dominates(p, point)]
            assert number == max(above, default=-1) + 1
        assert undominated(points) == [place for place, n in enumerate(numbers) if n == 0]


def test_crowding_by_hand():
    """Spreads 10 and 8. The second has neighbours 3 and 6 apart, the third 9 and 7: 3/10 + 6/8 and
    9/10 + 7/8, minus nothing. Equal points count once.
    """
    points = [(0, 8), (1, 7), (3, 2), (10, 0)]
    expected = [math.inf, 3 / 10 + 6 / 8, 9 / 10 + 7 / 8, math.inf]
    assert crowding(points) == pytest.approx(expected)
    assert crowding([*points, (1, 7)]) == pytest.approx([*expected, expected[1]])
    assert crowding([(5, 5), (5, 5)]) == [math.inf, math.inf]
    # an objective in which all are equal adds nothing, in any order of the points
    assert crowding([(1, 2, 7), (0, 4, 7), (4, 0, 7)]) == [2, math.inf, math.inf]


def test_halving_keeps_eight_four_two():
    """Eight points one behind the other, in an order of no meaning; then the four, then the two."""
    points = [(value, 2 * value) for value in (3, 7, 0, 5, 1, 6, 2, 4)]
    left = []
    for _ in range(3):
        left.append([point[0] for point in points])
        points = [points[place] for place in leading(points, 2)]
    assert left == [[3, 7, 0, 5, 1, 6, 2, 4], [7, 5, 6, 4], [7, 6]]


def test_a_front_is_thinned_where_it_is_crowded():
    """Five points of one front: both ends, and of the rest the one with the most distance."""
    front = [(0, 10), (1, 9), (2, 8), (6, 4), (10, 0)]
    assert leading(front, 2) == [0, 4]
    assert leading([*front, (5, 3)], 2) == [0, 3, 4]


def test_leading_by_hand():
    assert leading([(1,), (4,), (3,), (2,), (0,), (5,)], 3) == [1, 5]
    assert leading([(1,), (2,)], 3) == [1]
    # equal to the last of the best
    assert leading([(1, 1), (1, 1), (0, 0), (0, 0)], 4) == [0, 1]


def test_hypervolume_by_hand():
    """Columns of height 1, 2 and 3. A dominated or an equal point adds nothing, nor does one that
    does not exceed the reference.
    """
    assert hypervolume(FOUR, (-4, -4)) == 6
    assert hypervolume([*FOUR, (-2, -2)], (-4, -4)) == 6
    assert hypervolume([(-1, -3), (-1, -4), (9, -5)], (-4, -4)) == 3
    assert hypervolume([(3,), (5,)], (1,)) == 4
    assert hypervolume([], (0, 0)) == hypervolume([(0, 1)], (0, 0)) == 0


@pytest.mark.parametrize("objectives", [1, 2, 3])
def test_hypervolume_counts_the_cells(objectives):
    """On a grid of whole numbers, it is the number of unit cells below some point."""
    for points in clouds(objectives, values=5, count=8):
        cells = itertools.product(range(5), repeat=objectives)
        covered = sum(
            any(all(x > c for x, c in zip(p, cell, strict=True)) for p in points) for cell in cells
        )
        assert hypervolume(points, (0,) * objectives) == covered
