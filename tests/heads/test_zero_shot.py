"""Biased prompts: the closed form by hand, by its objective, and with repeated prompts."""

import pytest
import torch
from torch import Tensor

from debias.heads.zero_shot import (
    calibrated_projection,
    class_texts,
    orthogonal_projection,
    same_class_pairs,
)

EYE = torch.eye(3, dtype=torch.float64)
NO_PAIR = torch.zeros(0, 2, dtype=torch.int64)
#: The attributes of the ten candidates of the reference for Waterbirds, five per class.
PLACES = ["land background", "water background", "ocean", "water", "forest"]


def drawn(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def pairs_of(*pairs: tuple[int, int]) -> Tensor:
    return torch.tensor(pairs)


def test_three_numbers_by_hand() -> None:
    """The first is removed. M is 4 in the second, which 1 + 1000 * 4 divides; the third stays."""
    candidates = torch.stack([EYE[1], -EYE[1]])
    found = calibrated_projection(EYE[:1], candidates, pairs_of((0, 1))) @ torch.ones(3).double()
    assert found.tolist() == pytest.approx([0, 1 / 4001, 1], abs=1e-15)
    weak = calibrated_projection(EYE[:1], candidates, pairs_of((0, 1)), strength=0.5)
    assert (weak @ torch.ones(3).double()).tolist() == pytest.approx([0, 1 / 3, 1], abs=1e-15)


def test_m_is_the_mean_over_pairs() -> None:
    """Of two pairs with the differences 2 in the second number and 1 in the third."""
    candidates = torch.stack([EYE[1], -EYE[1], EYE[2], torch.zeros(3).double()])
    found = calibrated_projection(
        EYE[:1], candidates, pairs_of((0, 1), (2, 3)), strength=1.0
    ) @ torch.ones(3, dtype=torch.float64)
    assert found.tolist() == pytest.approx([0, 1 / 3, 1 / 1.5], abs=1e-15)


def test_the_orthogonal_projection_removes_the_span_and_no_more() -> None:
    spurious = drawn(3, 7)
    found = orthogonal_projection(spurious)
    torch.testing.assert_close(found @ spurious.T, torch.zeros(7, 3).double())
    torch.testing.assert_close(found @ found, found)
    torch.testing.assert_close(found, found.T)
    assert float(found.trace()) == pytest.approx(4)
    inverse = torch.linalg.inv(spurious @ spurious.T)
    expected = torch.eye(7).double() - spurious.T @ inverse @ spurious
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_prompts_that_repeat_others_change_nothing(dtype: torch.dtype) -> None:
    spurious = drawn(3, 7).to(dtype)
    again = torch.cat([spurious, spurious[:2], (spurious[0] - 2 * spurious[2])[None]])
    found = orthogonal_projection(again)
    torch.testing.assert_close(found, orthogonal_projection(spurious))
    assert round(float(found.trace())) == 4


def test_nothing_to_remove_or_to_calibrate() -> None:
    """No spurious prompt, one of zeros, no pair, no strength."""
    spurious, candidates, pairs = drawn(2, 5), drawn(4, 5, seed=1), pairs_of((0, 1), (2, 3))
    first = orthogonal_projection(spurious)
    assert torch.equal(orthogonal_projection(spurious[:0]), torch.eye(5).double())
    assert torch.equal(orthogonal_projection(0 * spurious), torch.eye(5).double())
    torch.testing.assert_close(calibrated_projection(spurious, candidates, NO_PAIR), first)
    found = calibrated_projection(spurious, candidates, pairs, strength=0)
    torch.testing.assert_close(found, first)
    with pytest.raises(ValueError, match="strength must be at least 0 for biased prompts; got -1"):
        calibrated_projection(spurious, candidates, pairs, strength=-1)


def test_the_closed_form_is_the_minimum_of_its_objective() -> None:
    """Its gradient is 0, and its curvature positive."""
    spurious, candidates, pairs = drawn(2, 6), drawn(5, 6, seed=1), pairs_of((0, 1), (0, 4), (2, 3))
    found = calibrated_projection(spurious, candidates, pairs, strength=3.0)
    first = orthogonal_projection(spurious)

    def objective(projection: Tensor) -> Tensor:
        moved = candidates @ projection.T
        apart = (moved[pairs[:, 0]] - moved[pairs[:, 1]]).square().sum(dim=1).mean()
        return (projection - first).square().sum() + 3.0 * apart

    leaf = found.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(objective(leaf), leaf)
    torch.testing.assert_close(gradient, torch.zeros(6, 6).double(), atol=1e-12, rtol=0)
    assert objective(found + 0.01 * drawn(6, 6, seed=2)) > objective(found)


def test_texts_lie_outside_the_spurious_span_but_a_spurious_text_need_not_vanish() -> None:
    spurious, candidates, pairs = drawn(2, 6), drawn(4, 6, seed=1), pairs_of((0, 1), (2, 3))
    found = calibrated_projection(spurious, candidates, pairs)
    torch.testing.assert_close(orthogonal_projection(spurious) @ found, found)
    assert float((found @ spurious.T).abs().max()) > 0.01
    assert not torch.allclose(found, found.T, atol=0.01)


def test_pairs_are_those_of_the_reference() -> None:
    """Waterbirds: all 20 within the classes. CelebA: male and female with the same hair."""
    birds = same_class_pairs(["landbird"] * 5 + ["waterbird"] * 5, PLACES * 2).tolist()
    within = [(0, 1), (0, 2), (0, 3), (0, 4), (1, 2), (1, 3), (1, 4), (2, 3), (2, 4), (3, 4)]
    assert birds == [[*pair] for pair in within] + [[i + 5, j + 5] for i, j in within]
    hair = ["dark", "dark", "blond", "blond"]
    faces = same_class_pairs(hair, ["male", "female", "male", "female"])
    assert faces.tolist() == [[0, 1], [2, 3]]
    assert same_class_pairs(hair, ["male"] * 4).shape == (0, 2)


def test_the_text_of_a_class_is_the_projected_mean_of_its_unit_prompts() -> None:
    """Class 0 has two, one of them longer, and not beside each other."""
    prompts = torch.stack([5 * EYE[0], EYE[2], EYE[1] + EYE[0]])
    target = torch.tensor([0, 1, 0])
    half = 0.5**0.5
    mean = torch.tensor([1 + half, half, 0]).double()
    found = class_texts(prompts, target, ("a", "b"))
    torch.testing.assert_close(found, torch.stack([mean / mean.norm(), EYE[2]]))
    skew = torch.tensor([[1.0, 0, 0], [4.0, 1, 0], [0, 0, 9]]).double()
    moved = skew @ mean
    found = class_texts(prompts, target, ("a", "b"), projection=skew)
    torch.testing.assert_close(found, torch.stack([moved / moved.norm(), EYE[2]]))


def test_a_class_that_the_projection_removes_is_named() -> None:
    prompts = torch.stack([EYE[0] + EYE[1], EYE[2]])
    projection = orthogonal_projection(EYE[2:] + 1e-12 * EYE[:1])
    with pytest.raises(ValueError, match=r"nothing is left of class waterbird: leave out"):
        class_texts(prompts, torch.arange(2), ("landbird", "waterbird"), projection=projection)
