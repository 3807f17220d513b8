"""Systems of maps: the sum of their singular values, and the triangle of Sierpinski by hand."""

from types import SimpleNamespace

import numpy as np
import pytest

from debias.data.made.procedural.affine_systems import (
    changed_system,
    draw_singular_values,
    draw_system,
    fractal_points,
    map_shares,
)

#: Each map halves the distance to a corner of the triangle (0, 0), (1, 0), (0, 1).
SIERPINSKI = np.array([[[0.5, 0, *b[:1]], [0, 0.5, *b[1:]]] for b in ((0, 0), (0.5, 0), (0, 0.5))])


def test_singular_values_have_their_sum_and_order():
    """20,000 systems. Sums of up to 6.5 are rounded by at most 9e-16 at each of a few steps."""
    rng = np.random.default_rng(0)
    for count in (2, 3, 4, 7):
        factors = rng.uniform((5 + count) / 2, (6 + count) / 2, 5000)
        values = np.stack([draw_singular_values(count, factor, rng) for factor in factors])
        assert values.shape == (5000, count, 2)
        assert np.abs((values @ [1, 2]).sum(axis=1) - factors).max() < 3e-15
        assert ((values > 0) & (values < 1)).all()
        assert (values[..., 0] >= values[..., 1]).all()


@pytest.mark.parametrize("sigma_factor", [0.05, 5.9])
def test_the_range_of_a_singular_value_is_what_the_sum_leaves(sigma_factor):
    """Near the ends of (0, 6) nearly nothing is left to draw, and the values are still valid."""
    rng = np.random.default_rng(0)
    values = np.array([draw_singular_values(2, sigma_factor, rng) for _ in range(200)])
    assert np.allclose((values @ [1, 2]).sum(axis=1), sigma_factor)
    assert values.min() >= 0
    assert values.max() <= 1


def test_systems_have_two_to_four_contracting_maps_of_either_orientation():
    systems = [draw_system(np.random.default_rng(seed)) for seed in range(300)]
    counts = np.array([len(system) for system in systems])
    assert set(counts.tolist()) == {2, 3, 4}
    values = [np.linalg.svd(system[..., :2], compute_uv=False) for system in systems]
    factors = np.array([(pair @ [1, 2]).sum() for pair in values])
    assert (np.abs(factors - (5.5 + counts) / 2) <= 0.25 + 1e-9).all()
    maps = np.concatenate(systems)
    assert np.abs(maps[..., 2]).max() <= 1
    reflecting = (np.linalg.det(maps[..., :2]) < 0).mean()
    assert reflecting == pytest.approx(0.5, abs=0.1)


def test_points_fill_the_triangle_of_sierpinski():
    """On a grid of 2^k x 2^k cells, (3/4)^k of the cells have a point. Equal maps, equal shares."""
    assert map_shares(SIERPINSKI) == pytest.approx([1 / 3] * 3)
    points = fractal_points(SIERPINSKI, 20_000, np.random.default_rng(0))
    assert points.shape == (20_000, 2)
    assert points.min() >= 0
    assert points.sum(axis=1).max() <= 1
    for k in (3, 4, 5, 6):
        cells = np.unique(np.floor(points * 2**k).astype(int), axis=0)
        assert len(cells) / 4**k == (3 / 4) ** k
    thirds = [((points >= b).all(axis=1)).mean() for b in ([0.5, 0], [0, 0.5])]
    assert thirds == pytest.approx([1 / 3] * 2, abs=0.02)


def test_points_start_where_the_first_map_does_not_move_them():
    """The fixed point of x -> x / 2 + 1 and y -> y / 4 + 3 is (2, 4)."""
    system = np.array([[[0.5, 0, 1], [0, 0.25, 3]], [[0.5, 0, 0], [0, 0.5, 0]]])
    first = SimpleNamespace(random=np.zeros)  # every draw chooses the first map
    assert np.array_equal(fractal_points(system, 7, first), [[2, 4]] * 7)  # type: ignore[arg-type]


def test_maps_are_drawn_by_the_area_that_they_keep():
    """Areas of 0.36 and 0.09. Only the second map, a reflection, leads to x >= 1."""
    system = np.array([[[0.6, 0, 0], [0, 0.6, 0]], [[0.3, 0, 1], [0, -0.3, 0]]])
    assert map_shares(system) == pytest.approx([0.8, 0.2])
    points = fractal_points(system, 10_000, np.random.default_rng(0))
    assert (points[:, 0] >= 1).mean() == pytest.approx(0.2, abs=0.02)


def test_a_change_multiplies_one_map_and_keeps_the_contraction():
    rng = np.random.default_rng(0)
    changed = [changed_system(SIERPINSKI, rng) for _ in range(50)]
    ratios = np.array([system[:, 0, 0] / 0.5 for system in changed])
    assert ((ratios != 1).sum(axis=1) == 1).all()
    assert set((ratios != 1).argmax(axis=1).tolist()) == {0, 1, 2}
    assert ratios.min() >= 0.8
    assert ratios.max() <= 1.1
    assert all(
        (system * (0.5 / system[:, :1, :1]) == pytest.approx(SIERPINSKI)) for system in changed
    )
    wide = SIERPINSKI * 1.99
    values = np.linalg.svd(
        [changed_system(wide, rng)[..., :2] for _ in range(50)], compute_uv=False
    )
    assert values.max() < 1
