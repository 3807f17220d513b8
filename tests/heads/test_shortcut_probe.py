"""ShortcutProbe: sure samples and losses by hand, the shortcut part, and one that it leaves."""

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from debias.heads.linear import Heads, Rows
from debias.heads.shortcut_probe import (
    Probed,
    ProbeSettings,
    _Search,
    basis_loss,
    probed,
    shortcut_head,
    shortcut_part,
    unfit_loss,
)
from tests.heads.spurious_rows import SIZE, erm_head, spurious_rows, worst_group


def test_the_surest_of_each_half_of_each_class():
    """Margins for class 0 of five samples of class 0, and of four of class 1. Low losses: margins
    3 and 2 of class 0, the surest 3; high: -1 and -4, the surest -4. Of class 1 -5, -1 and 2, 6.
    """
    margin = torch.tensor([2.0, -4.0, 3.0, 0.5, -1.0, 2.0, -5.0, 6.0, -1.0])
    logits = torch.stack([margin, torch.zeros(9)], dim=1)
    target = torch.tensor([0] * 5 + [1] * 4)
    found = probed(logits, target, confident=0.25)
    assert (found.right.tolist(), found.wrong.tolist()) == ([2, 6], [1, 7])
    every = probed(logits, target, confident=0.0)
    assert (every.right.tolist(), every.wrong.tolist()) == ([0, 2, 3, 6, 8], [1, 4, 5, 7])


def test_one_unit_vector_gives_half_of_the_projection():
    """(V V' + 1)^-1 = 1/2."""
    unit = F.normalize(torch.tensor([[1.0, 2.0, 2.0]]), dim=1)
    z = torch.tensor([[3.0, 0.0, 6.0]])
    assert shortcut_part(z, unit).tolist() == [pytest.approx((2.5 * unit[0]).tolist())]


def test_the_shortcut_part_is_linear_and_lies_in_the_span():
    generator = torch.Generator().manual_seed(0)
    basis = torch.randn(2, 5, generator=generator, dtype=torch.float64)
    a, b = torch.randn(2, 3, 5, generator=generator, dtype=torch.float64)
    whole = shortcut_part(2 * a - b, basis)
    torch.testing.assert_close(whole, 2 * shortcut_part(a, basis) - shortcut_part(b, basis))
    assert torch.linalg.matrix_rank(torch.cat([basis, whole])) == 2
    two = torch.eye(2, 5, dtype=torch.float64)  # V V' + 1 is [[2, 1], [1, 2]]
    expected = torch.linalg.inv(torch.tensor([[2.0, 1.0], [1.0, 2.0]]).double()) @ a[0, :2]
    torch.testing.assert_close(shortcut_part(a, two)[0, :2], expected)


def test_both_losses_by_hand():
    """Basis (1, 0): v = (z1 / 2, 0). Head (w z1): logits of class 1 are 2 z1 alone, or z1 of v."""
    basis, z = torch.tensor([[1.0, 0.0]]), torch.tensor([[4.0, 1.0], [-2.0, 1.0]])
    weights, bias = torch.tensor([[0.0, 0.0], [2.0, 0.0]]), torch.zeros(2)
    y, predicted = torch.tensor([0, 0]), torch.tensor([1, 0])
    alone = (math.log1p(math.exp(-4)) + math.log1p(math.exp(-2))) / 2
    head = Heads(weights[None], bias[None])
    found = basis_loss(z, predicted, basis, head, length=3.0)
    assert found.item() == pytest.approx(alone + 3.0 * (2 + 1) / 2, rel=1e-5)
    whole = (8 + math.log1p(math.exp(-8)) + math.log1p(math.exp(-4))) / 2
    ratio = unfit_loss(Rows(z, y, y), predicted, basis, weights, bias, unfit=5.0)
    assert ratio.item() == pytest.approx(5 * whole / alone, rel=1e-5)


def sided(**settings: float) -> tuple[Heads, Rows, Rows]:
    """ERM's head on a shortcut, the head that is refitted against it, and test rows."""
    train = spurious_rows(400, aligned=0.95, seed=0)
    fitting, held_out, test = (spurious_rows(300, aligned=0.7, seed=seed) for seed in (1, 2, 3))
    start = erm_head(train)
    options = {"epochs": 8, "basis_rate": 0.01, "learning_rate": 0.02, "size": 1}
    found = shortcut_head(
        fitting, held_out, start, torch.Generator().manual_seed(0),
        settings=ProbeSettings(**(options | settings)),  # type: ignore[arg-type]
    )  # fmt: skip
    assert 1 <= int(found.steps) <= 8
    assert float(found.scores) == worst_group(found.heads, held_out)
    return found.heads, start, test  # type: ignore[return-value]


def test_the_head_relies_less_on_the_shortcut():
    """The worst group of other rows rises by far, and the weight of the bias falls."""
    found, start, test = sided()  # type: ignore[assignment]
    assert worst_group(found, test) > worst_group(start, test) + 0.1  # type: ignore[arg-type]

    def reliance(heads: Heads) -> float:
        weights: Tensor = heads.weights[0, 1] - heads.weights[0, 0]
        return float(weights[1] / weights[0])

    assert reliance(found) < 0.8 * reliance(start)  # type: ignore[arg-type]
    assert found.weights.shape == (1, 2, SIZE)


def test_which_samples_meet():
    """The basis sees a wrong sample beside a right one of the class that it was predicted as; the
    head sees it beside a right one of its own class. Classes are drawn equally for the basis: class
    0 has one wrong sample in four.
    """
    target = torch.tensor([0, 1, 1, 1, 0, 0, 1])
    predicted = torch.tensor([1, 0, 0, 0, 0, 0, 1])
    sure = Probed(torch.tensor([4, 5, 6]), torch.tensor([0, 1, 2, 3]))
    rows, generator = Rows(torch.zeros(7, 2), target, target), torch.Generator().manual_seed(0)
    search = _Search(rows, rows, sure, predicted, 1, generator, ProbeSettings())
    right, wrong = search._opposed(400)
    assert torch.equal(target[right], predicted[wrong])
    assert 160 < int((wrong == 0).sum()) < 240
    wrong, right = search._paired(400)
    assert torch.equal(target[right], target[wrong])
    assert 60 < int((wrong == 0).sum()) < 140
    assert set(right.tolist()) <= {4, 5, 6}


def test_the_basis_starts_with_the_variances_of_the_features():
    """Standard deviations of 1, 3, 5 and of 0, 0, 6, by n - 1: 2 and the square root of 12."""
    target = torch.tensor([0, 0, 1])
    features = torch.tensor([[1.0, 0.0], [3.0, 0.0], [5.0, 6.0]], dtype=torch.float64)
    rows, sure = Rows(features, target, target), Probed(torch.tensor([0, 2]), torch.tensor([1]))
    still = ProbeSettings(size=2, epochs=1, basis_rate=1e-12)
    generator = torch.Generator().manual_seed(3)
    search = _Search(rows, rows, sure, 1 - target, 1, generator, still)
    basis = search.basis(Heads(torch.zeros(1, 2, 2).double(), torch.zeros(1, 2).double()))
    drawn = torch.randn(2, 2, generator=torch.Generator().manual_seed(3)).double()
    torch.testing.assert_close(basis, drawn * torch.tensor([2.0, math.sqrt(12)]).double())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"size": 0}, "size must be at least 1 for ShortcutProbe; got 0"),
        ({"epochs": 0}, "epochs must be at least 1"),
        ({"batch_size": 1}, "batch_size must be at least 2"),
        ({"length": -1.0}, "length must be at least 0"),
        ({"unfit": 0.0}, "unfit must be positive"),
        ({"confident": 0.6}, r"confident must lie in \[0, 0.5\] for ShortcutProbe; got 0.6"),
    ],
)
def test_what_it_refuses(settings, message):
    with pytest.raises(ValueError, match=message):
        ProbeSettings(**settings)


def test_a_model_without_mistakes_cannot_be_probed():
    rows = spurious_rows(40, aligned=0.5, seed=0)
    perfect = Heads(torch.zeros(1, 2, SIZE), torch.zeros(1, 2))
    features = F.one_hot(rows.target, SIZE).float()
    perfect.weights[0, :2, :2] = torch.eye(2)
    with pytest.raises(ValueError, match="that the model gets wrong, got 0"):
        shortcut_head(
            rows._replace(features=features), rows, perfect, torch.Generator(),
            settings=ProbeSettings(confident=0.0),
        )  # fmt: skip
