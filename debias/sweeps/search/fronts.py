"""Pareto fronts: the undominated points, the order of all points, and the hypervolume.

Points are tuples with one number per objective. A higher number is better.
"""

import math
from collections.abc import Sequence
from operator import ge, gt

Point = tuple[float, ...]


def undominated(points: Sequence[Point]) -> list[int]:
    """Find the positions of the points that no other point equals or exceeds in every number.

    Points with the same numbers do not exclude each other.

    Example:
        >>> undominated([(-1, -3), (-2, -2), (-3, -1), (-3, -3)])
        [0, 1, 2]
    """
    return [
        place
        for place, point in enumerate(points)
        if not any(all(map(ge, other, point)) for other in points if other != point)
    ]


def front_numbers(points: Sequence[Point]) -> list[int]:
    """Number the fronts: 0 for undominated points, 1 for those undominated among the rest, etc.

    Source: Deb et al., "A fast and elitist multiobjective genetic algorithm: NSGA-II", IEEE
    Transactions on Evolutionary Computation 2002, section III-A.

    Example:
        >>> front_numbers([(2, 2), (1, 1), (0, 3), (0, 0)])
        [0, 1, 0, 2]
    """
    numbers = [0] * len(points)
    left, number = list(range(len(points))), 0
    while left:
        front = {left[place] for place in undominated([points[place] for place in left])}
        for place in front:
            numbers[place] = number
        left, number = [place for place in left if place not in front], number + 1
    return numbers


def crowding(points: Sequence[Point]) -> list[float]:
    r"""Measure how far the neighbours of each point of one front are from each other.

    .. math:: c_i = \sum_k \frac{x_k^{next} - x_k^{previous}}{\max x_k - \min x_k}

    The sum is over the objectives. The best and the worst point of an objective have an infinite
    distance. Equal points count once, and have the same distance.

    Source: Deb et al. 2002, section III-B.

    Example:
        >>> crowding([(0, 4), (1, 2), (4, 0)])
        [inf, 2.0, inf]
    """
    distances = dict.fromkeys(points, 0.0)
    for objective in range(len(points[0]) if points else 0):
        ranked = sorted(distances, key=lambda point: point[objective])
        spread = ranked[-1][objective] - ranked[0][objective]
        if spread == 0 and len(ranked) > 1:  # no point is the best or the worst
            continue
        distances[ranked[0]] = distances[ranked[-1]] = math.inf
        for before, point, after in zip(ranked, ranked[1:], ranked[2:], strict=False):
            distances[point] += (after[objective] - before[objective]) / spread
    return [distances[point] for point in points]


def leading(points: Sequence[Point], factor: int) -> list[int]:
    """Find the positions of the best ``1 / factor`` of the points: at least one of them.

    Points are ordered by the number of their front. In one front, a point with more distance to its
    neighbours is better. Points that are as good as the last of the best are among them.

    Args:
        points: the points.
        factor: at least 2.

    Example:
        >>> leading([(1, 1), (3, 3), (2, 2), (0, 0)], 2)
        [1, 2]
    """
    numbers = front_numbers(points)
    order = []
    for place, number in enumerate(numbers):
        front = [point for point, other in zip(points, numbers, strict=True) if other == number]
        order.append((number, -crowding(front)[front.index(points[place])]))
    last = sorted(order)[max(1, len(points) // factor) - 1] if order else (0, 0.0)
    return [place for place, entry in enumerate(order) if entry <= last]


def hypervolume(points: Sequence[Point], reference: Point) -> float:
    """Compute the volume that the points dominate, above a reference point.

    Source: Zitzler and Thiele, "Multiobjective evolutionary algorithms: a comparative case study
    and the strength Pareto approach", IEEE Transactions on Evolutionary Computation 1999.

    Args:
        points: the points, dominated or not.
        reference: a point that is worse than all of interest. A point that does not exceed it in
            every number has no volume.

    Example:
        >>> hypervolume([(-1, -3), (-2, -2), (-3, -1), (-3, -3)], (-4, -4))
        6.0
    """
    inside = [point for point in points if all(map(gt, point, reference))]
    if len(reference) == 1:
        return max((point[0] - reference[0] for point in inside), default=0)
    volume, below = 0.0, reference[-1]
    for level in sorted({point[-1] for point in inside}):
        slice_points = [point[:-1] for point in inside if point[-1] >= level]
        volume += (level - below) * hypervolume(slice_points, reference[:-1])
        below = level
    return volume
