"""Systems of affine maps, whose random iteration draws a fractal."""

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]
#: Range of the number of maps of a system.
MAPS = (2, 4)
#: Points that are moved side by side, and their moves before the first one is kept.
CHAINS, WARM_UP = 500, 20
#: Range of the factor that changes one map of a system, and how often a factor is drawn.
FACTORS, TRIES = (0.8, 1.1), 4


def draw_system(rng: np.random.Generator) -> Numbers:
    r"""Draw a system of n contracting maps :math:`x \mapsto A_i x + b_i`, ``(n, 2, 3)``.

    .. math:: A_i = U_i\, \mathrm{diag}(\sigma_{i1}, \sigma_{i2})\, V_i, \quad
              \sum_i (\sigma_{i1} + 2 \sigma_{i2}) = \alpha, \quad
              \alpha \sim \mathcal U\left(\tfrac{5 + n}{2}, \tfrac{6 + n}{2}\right)

    U and V are random rotations and reflections, and b is uniform on :math:`[-1, 1]^2`. The sum is
    the sigma factor. In this range, most fractals are neither a few points nor a filled area.

    Source: Anderson and Farrell, "Improving Fractal Pre-training", WACV 2022 (reference code
    catalys1/fractal-pretraining).

    Args:
        rng: draws the system.

    Differs from the reference: n is uniform in 2, 3 and 4, as in the authors' list of systems.
    """
    count = int(rng.integers(MAPS[0], MAPS[1] + 1))
    values = draw_singular_values(count, rng.uniform((5 + count) / 2, (6 + count) / 2), rng)
    left, right = _orthogonal(count, rng), _orthogonal(count, rng)
    shifts = rng.uniform(-1, 1, (count, 2, 1))
    return np.concatenate([left * values[:, None] @ right, shifts], axis=2)


def draw_singular_values(count: int, sigma_factor: float, rng: np.random.Generator) -> Numbers:
    """``(count, 2)`` singular values in [0, 1], the larger first, of a given sigma factor.

    Each is uniform in the range that the sum leaves, given the ones before it.

    Args:
        count: number of maps.
        sigma_factor: sum of the larger values and twice the smaller ones, in (0, 3 * count).
        rng: draws the values.
    """
    pairs = []
    rest = sigma_factor
    for after in range(count - 1, 0, -1):
        least = rest - 3 * after  # what this map must take, as the others take at most 3 each
        first = rng.uniform(max(0.0, least / 3), min(1.0, rest))
        second = rng.uniform(max(0.0, (least - first) / 2), min(first, (rest - first) / 2))
        rest -= first + 2 * second
        pairs.append((first, second))
    second = rng.uniform(max(0.0, (rest - 1) / 2), rest / 3)
    return np.array([*pairs, (rest - 2 * second, second)])


def changed_system(system: Numbers, rng: np.random.Generator) -> Numbers:
    """The system with one map multiplied by a factor in [0.8, 1.1], if all maps still contract."""
    for _ in range(TRIES):
        changed: Numbers = system.copy()
        changed[rng.integers(len(system))] *= rng.uniform(*FACTORS)
        if np.linalg.svd(changed[..., :2], compute_uv=False).max() < 1:
            return changed
    return system


def map_shares(system: Numbers) -> Numbers:
    """``(n,)`` probability of each map, in proportion to the area that it keeps."""
    areas = np.abs(np.linalg.det(system[..., :2]))
    return np.asarray(areas / areas.sum())


def fractal_points(system: Numbers, count: int, rng: np.random.Generator) -> Numbers:
    """``(count, 2)`` points of a fractal, by random moves from the fixed point of the first map.

    Args:
        system: ``(n, 2, 3)`` maps, whose singular values are below 1.
        count: number of points.
        rng: draws the map of every move.

    Differs from the reference: 500 points move side by side, and the first 20 moves are left out.
    """
    linear, shift = system[..., :2], system[..., 2:]
    moves = WARM_UP + -(-count // CHAINS)
    ends = np.cumsum(map_shares(system))[:-1]
    choices = np.searchsorted(ends, rng.random((moves, CHAINS)), side="right")
    places = np.repeat(np.linalg.solve(np.eye(2) - linear[0], shift[0]), CHAINS, axis=1)
    visited = np.empty((moves, CHAINS, 2))
    for move, choice in enumerate(choices):
        visited[move] = (linear @ places + shift)[choice, :, np.arange(CHAINS)]
        places = visited[move].T
    kept: Numbers = visited[WARM_UP:].reshape(-1, 2)[:count]
    return kept


def _orthogonal(count: int, rng: np.random.Generator) -> Numbers:
    """``(count, 2, 2)`` random rotations, whose columns have random signs."""
    angle = rng.uniform(-np.pi, np.pi, count)
    cosine, sine = np.cos(angle), np.sin(angle)
    rotation = np.stack([cosine, -sine, sine, cosine], axis=1).reshape(count, 2, 2)
    signs: Numbers = rng.choice([-1.0, 1.0], (count, 1, 2))
    return rotation * signs
