"""The extrapolated offset of CRM: exact on a finite set, and what leaves it unchanged."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from debias.losses.compositional import cell_logits, extrapolated_offsets, log_prior_of

SEEN = torch.tensor([[0.5, 0.2, 0.05], [0.25, 0.0, 0.0]], dtype=torch.float64)


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return 2 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).double()


def finite_set() -> tuple[Tensor, Tensor]:
    """Additive energies ``(N, C, B)`` of 7 points, and the normaliser ``(C, B)`` of each cell."""
    energies = drawn(7, 2, 1) + drawn(7, 1, 3, seed=1)
    return energies, (-energies).exp().sum(dim=0)


def test_exact_offsets_extrapolate_to_the_normaliser_of_every_cell() -> None:
    """Learnt offsets log Z of the seen cells; rows weighted by the density of training.

    S is then that density. The offset is log Z in the unseen cells too, and the posterior at equal
    shares is that of Bayes' rule.
    """
    energies, normaliser = finite_set()
    density = (SEEN * (-energies).exp() / normaliser).sum(dim=(1, 2))
    learnt = torch.where(SEEN > 0, normaliser.log(), 3.0)
    found = extrapolated_offsets(energies, learnt, SEEN.log(), weights=density)
    torch.testing.assert_close(found, normaliser.log(), atol=1e-12, rtol=0)
    posterior = cell_logits(energies, found).flatten(1).softmax(dim=1).view_as(energies)
    likelihood = (-energies).exp() / normaliser
    bayes = likelihood / likelihood.sum(dim=(1, 2), keepdim=True)
    torch.testing.assert_close(posterior, bayes, atol=1e-12, rtol=0)


def test_the_mean_over_rows_is_that_of_equal_weights() -> None:
    """Two heads at once. By hand: log of the mean of exp(-E) / S."""
    energies, offsets = drawn(2, 7, 2, 3), drawn(2, 2, 3, seed=1)
    found = extrapolated_offsets(energies, offsets, SEEN.log())
    for head in (0, 1):
        cells = (-energies[head] - offsets[head]).exp() * SEEN
        ratios = (-energies[head]).exp() / cells.sum(dim=(1, 2), keepdim=True)
        torch.testing.assert_close(found[head], ratios.mean(dim=0).log())
    same = extrapolated_offsets(energies, offsets, SEEN.log(), weights=torch.full((7,), 1 / 7))
    torch.testing.assert_close(found, same, atol=1e-6, rtol=0)


def test_no_energy_means_no_offset() -> None:
    """Equal shares of the seen cells, no energy and no learnt offset."""
    prior = torch.where(SEEN > 0, 0.25, 0.0).log()
    found = extrapolated_offsets(torch.zeros(5, 2, 3), torch.zeros(2, 3), prior)
    torch.testing.assert_close(found, torch.zeros(2, 3, dtype=found.dtype), atol=1e-6, rtol=0)


def test_a_function_of_the_picture_alone_changes_nothing() -> None:
    energies, offsets = drawn(7, 2, 3), drawn(2, 3, seed=1)
    one, other = (
        extrapolated_offsets(energies + shift, offsets, SEEN.log())
        for shift in (0.0, 30 * drawn(7, 1, 1, seed=2))
    )
    torch.testing.assert_close(one, other, atol=1e-10, rtol=0)


def test_large_energies_do_not_overflow() -> None:
    """exp(2000) is infinite."""
    found = extrapolated_offsets(drawn(7, 2, 3) - 2000, torch.zeros(2, 3), SEEN.log())
    assert bool(found.isfinite().all())


def test_the_joint_loss_of_all_cells_is_that_of_class_and_bias() -> None:
    """Without offset and with equal shares, log softmax of a sum of energies is a sum."""
    of_class, of_bias = drawn(7, 2), drawn(7, 3, seed=1)
    cells = cell_logits(of_class[..., None] + of_bias[:, None], torch.zeros(2, 3).double())
    joint = cells.flatten(1).log_softmax(dim=1).view(7, 2, 3)
    apart = F.log_softmax(-of_class, 1)[..., None] + F.log_softmax(-of_bias, 1)[:, None]
    torch.testing.assert_close(joint, apart, atol=1e-13, rtol=0)


def test_shares_are_of_class_then_bias() -> None:
    target, bias = torch.tensor([1, 1, 1, 0]), torch.tensor([2, 2, 0, 1])
    found = log_prior_of(target, bias, classes=2, biases=3).exp()
    assert found.flatten().tolist() == pytest.approx([0.0, 0.25, 0.0, 0.25, 0.0, 0.5])
