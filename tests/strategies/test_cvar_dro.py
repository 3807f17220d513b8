"""CVaR-DRO: which samples of a batch give gradient, ERM as its limit, and the truncated form."""

import pytest
import torch
from torch.nn import functional as F

from debias.strategies.cvar_dro import CVaRDRO
from debias.strategies.erm import ERM
from tests.fakes import TinyClassifier, batch_of
from tests.strategies.shortcut import worst_group_accuracy

BATCH = batch_of(8)


def losses_of(model: TinyClassifier) -> torch.Tensor:
    return F.cross_entropy(model(BATCH.image).logits, BATCH.target, reduction="none")


def gradient(loss: torch.Tensor, model: TinyClassifier) -> torch.Tensor:
    return torch.autograd.grad(loss, model.head.weight)[0]


def test_value_and_gradient_are_those_of_the_worst():
    """alpha = 1/4 of 8: the mean of the two greatest losses, and nothing of the others."""
    model = TinyClassifier()
    loss = CVaRDRO(alpha=0.25).loss(model, BATCH).total
    worst = losses_of(model).topk(2).values.mean()
    torch.testing.assert_close(loss, worst)
    torch.testing.assert_close(gradient(loss, model), gradient(worst, model))


def test_alpha_1_is_erm():
    model = TinyClassifier()
    torch.testing.assert_close(
        CVaRDRO(alpha=1.0).loss(model, BATCH).total, ERM().loss(model, BATCH).total
    )


def test_the_truncated_form_has_the_gradient_of_what_lies_above():
    model = TinyClassifier()
    threshold = losses_of(model).median().item()
    loss = CVaRDRO(threshold=threshold).loss(model, BATCH).total
    above = torch.relu(losses_of(model) - threshold).mean()
    torch.testing.assert_close(gradient(loss, model), gradient(above, model))
    assert loss.item() == pytest.approx(threshold + above.item())


def test_alpha_is_a_tenth_unless_a_threshold_truncates():
    assert [
        CVaRDRO().alpha,
        CVaRDRO(threshold=0.6).alpha,
        CVaRDRO(alpha=0.5, threshold=0.6).alpha,
    ] == [0.1, 1.0, 0.5]


def test_labels_are_trained_on_too():
    model, labels = TinyClassifier(), torch.stack([BATCH.target, BATCH.bias], dim=1)
    losses = F.binary_cross_entropy_with_logits(
        model(BATCH.image).logits, labels.float(), reduction="none"
    ).mean(dim=1)
    loss = CVaRDRO(alpha=0.125).loss(model, BATCH._replace(target=labels))
    torch.testing.assert_close(loss.total, losses.max())


def test_the_shortcut_pays_less_at_first():
    """Worst group after 50 steps on a set 95 % aligned, mean of 3 seeds: ERM 0.72, this 0.83; after
    200 both 0.82.
    """
    plain = worst_group_accuracy(lambda model: ERM(), steps=50)
    assert worst_group_accuracy(lambda model: CVaRDRO(), steps=50) > plain + 0.05


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"alpha": 0.0}, r"alpha .* 0\.0"),
        ({"alpha": 1.1}, r"alpha .* 1\.1"),
        ({"threshold": -0.5}, r"-0\.5"),
    ],
)
def test_refuses(options, message):
    with pytest.raises(ValueError, match=message):
        CVaRDRO(**options)
