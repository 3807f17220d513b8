"""Measures on recombined pictures: worked examples, reference results, and their limits."""

import math

import numpy as np
import pytest
import torch

from debias.metrics.shortcuts.recombination import (
    background_gap,
    background_robustness,
    centre_bias,
    foreground_focus,
    size_bias,
)
from tests.metrics.golden_cases import golden_file

CELLS = torch.tensor(
    [[0.55, 0.66, 0.58], [0.70, 0.80, 0.72], [0.57, 0.68, 0.60]], dtype=torch.float64
)


def number(value):
    return torch.tensor(value, dtype=torch.float64)


def case(file: str, name: str) -> dict:
    cases = golden_file(file)
    if not cases:
        pytest.skip("needs the local test material")
    return cases[name]


def test_background_robustness_by_hand():
    """0.612 / 0.744, elementwise; a model that fails on each own background has no say."""
    ratio = background_robustness(number([0.612, 0.5, 0.3]), number([0.744, 0.5, 0.0]))
    assert ratio[:2].tolist() == pytest.approx([0.8225806451612903, 1.0], abs=1e-12)
    assert ratio[2].isnan()
    assert background_robustness(number(math.nan), number(0.5)).isnan()
    assert background_gap(number(0.612), number(0.744)).item() == pytest.approx(0.132)


def test_centre_bias_by_hand():
    """Corners .55 .58 .57 .60, sides .66 .70 .72 .68, centre .80: 1 - 1.21 / 1.6 = .24375."""
    assert centre_bias(CELLS).item() == pytest.approx(0.24375, abs=1e-12)
    assert centre_bias(torch.full((3, 3), 0.7)).item() == pytest.approx(0.0, abs=1e-7)
    only_centre = torch.zeros(3, 3)
    only_centre[1, 1] = 0.9
    assert centre_bias(only_centre).item() == 1.0


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_centre_bias_does_not_depend_on_orientation(turns):
    assert centre_bias(CELLS.rot90(turns)).item() == pytest.approx(0.24375, abs=1e-12)
    assert centre_bias(CELLS.flip(turns % 2)).item() == pytest.approx(0.24375, abs=1e-12)


def test_each_cell_enters_centre_bias_as_its_kind():
    """A cell that falls to 0 adds what its kind had: .55 / 1.6 for corners, .66 / 1.6 for sides;
    the centre: NaN.
    """
    for cell in range(9):
        cells = CELLS.flatten().clone()
        cells[cell] = 0
        value = centre_bias(cells.reshape(3, 3)).item()
        if cell == 4:
            assert math.isnan(value)
        else:
            lost = 0.55 if cell in (0, 2, 6, 8) else 0.66
            assert value == pytest.approx(0.24375 + lost / 1.6, abs=1e-12)


def test_a_cell_where_nothing_was_tested_is_not_passed_over():
    cells = CELLS.clone()
    cells[0, 1] = math.nan
    assert centre_bias(cells).isnan()


def test_size_bias_by_hand():
    """.6, .75, .78, .72 over .75, whatever the order of the factors."""
    accuracies, factors = number([0.6, 0.75, 0.78, 0.72]), number([0.5, 1.0, 1.5, 2.0])
    assert size_bias(accuracies, factors).tolist() == pytest.approx(
        [0.8, 1.0, 1.04, 0.96], abs=1e-12
    )
    order = [2, 0, 3, 1]
    assert size_bias(accuracies[order], factors[order]).tolist() == pytest.approx(
        [1.04, 0.8, 0.96, 1.0], abs=1e-12
    )
    assert size_bias(number([0.5, 0.0]), factors[:2]).isnan().all()


def test_foreground_focus_by_hand():
    """2 x 2 pixels, the first is foreground: 4 if all is there, 0 if nothing, 1 if uniform, 3 / (6
    / 4) = 2 twice.
    """
    mask = torch.tensor([[[1.0, 0.0], [0.0, 0.0]]]).expand(5, 2, 2)
    attribution = torch.tensor(
        [[[7, 0], [0, 0]], [[0, 1], [2, 3]], [[2, 2], [2, 2]], [[3, 1], [1, 1]], [[3, -9], [3, -1]]]
    )
    assert foreground_focus(attribution, mask).tolist() == pytest.approx([4, 0, 1, 2, 2])


def test_foreground_focus_does_not_depend_on_scale_and_knows_its_limits():
    generator = torch.Generator().manual_seed(0)
    attribution = torch.rand(6, 5, 7, generator=generator)
    mask = (torch.rand(6, 5, 7, generator=generator) > 0.6).float()
    focus = foreground_focus(attribution, mask)
    torch.testing.assert_close(foreground_focus(1000 * attribution, mask), focus)
    values, inside = attribution.numpy().astype(float), mask.numpy() > 0
    expected = [a[m].mean() / a.mean() for a, m in zip(values, inside, strict=True)]
    np.testing.assert_allclose(focus.numpy(), expected, rtol=1e-12)
    assert foreground_focus(attribution, torch.ones(6, 5, 7)).tolist() == pytest.approx([1.0] * 6)
    assert foreground_focus(attribution, torch.zeros(6, 5, 7)).isnan().all()
    assert foreground_focus(-attribution, mask).isnan().all()


def test_reference_values_of_recombination():
    found = case("visual_bias.json", "foraug_background_center_size")
    given, expected = found["inputs"], found["expected"]
    robustness = background_robustness(
        number(given["acc_background_all"]), number(given["acc_background_same"])
    )
    assert robustness.item() == pytest.approx(expected["background_robustness"], abs=1e-9)
    cells = number(given["acc_cells_3x3"])
    assert centre_bias(cells).item() == pytest.approx(expected["center_bias"], abs=1e-9)
    factors = number([float(factor) for factor in given["acc_by_size_factor"]])
    curve = size_bias(number(list(given["acc_by_size_factor"].values())), factors)
    assert curve.tolist() == pytest.approx(list(expected["size_curve"].values()), abs=1e-9)


def test_reference_values_of_the_background_gap():
    found = case("visual_bias.json", "imagenet9_bg_gap")
    target = torch.tensor(found["inputs"]["target"])
    accuracies = {
        name: (torch.tensor(answers) == target).double().mean()
        for name, answers in found["inputs"]["preds"].items()
    }
    gap = background_gap(accuracies["mixed_rand"], accuracies["mixed_same"])
    assert gap.item() == pytest.approx(found["expected"]["bg_gap"], abs=1e-9)


def test_reference_values_of_foreground_focus():
    found = case("attention.json", "foraug_foreground_focus")
    attribution, mask = (number(found["inputs"][name]) for name in ("attention", "mask"))
    assert foreground_focus(attribution, mask).tolist() == pytest.approx(
        found["expected"]["fg_focus"], abs=1e-9
    )


def test_wrong_shapes_are_refused():
    with pytest.raises(ValueError, match=r"\(3, 3\).*got \(9,\)"):
        centre_bias(CELLS.flatten())
    for factors in ([0.5, 2.0], [1.0, 1.0], [1.0]):
        with pytest.raises(ValueError, match="factor 1"):
            size_bias(number([0.5, 0.6]), number(factors))
