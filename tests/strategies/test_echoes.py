"""Echoes: its loss, its weights after an epoch, its state, and a toy; and what is observed."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from debias.losses.echo_weights import decayed_weights, inverse_weights
from debias.strategies.echoes import Echoes
from debias.strategies.observing import observe
from debias.types import Batch, Observed, Observer
from tests.fakes import GROUPS, TinyClassifier, batch_of
from tests.two_ranks import found_by_both

BATCH = batch_of(8)._replace(index=torch.tensor([19, 12, 18, 13, 17, 14, 16, 15]))


def pair(**options: float) -> tuple[Echoes, TinyClassifier]:
    torch.manual_seed(0)
    model = TinyClassifier()
    return Echoes(GROUPS, 20, model, **options), model


def halves(batch: Batch) -> list[Batch]:
    return [Batch(*(column[part] for column in batch[:4])) for part in (slice(5), slice(5, None))]


def test_before_the_first_epoch_only_the_echo_chamber_learns():
    strategy, model = pair()
    strategy.loss(model, BATCH).total.backward()
    assert all(parameter.grad.eq(0).all() for parameter in model.parameters())
    assert all(parameter.grad.ne(0).any() for parameter in strategy.network.parameters())


def test_loss_by_definition_after_an_epoch():
    strategy, model = pair(strength=3.0, threshold=1.0)
    assert isinstance(strategy, Observer)
    observe([strategy], model, halves(BATCH))
    logits = strategy.network(BATCH.image).logits
    wrong = logits.argmax(dim=1) != BATCH.target
    assert 0 < wrong.sum() < 8
    v = decayed_weights(torch.ones(8), wrong, BATCH.target, classes=2, threshold=1.0)
    w = inverse_weights(v, BATCH.target, classes=2)
    torch.testing.assert_close(strategy.echo_weights[BATCH.index], v)
    torch.testing.assert_close(strategy.weights[BATCH.index], w)
    assert strategy.weights[:12].eq(0).all()
    assert strategy.echo_weights[:12].eq(1).all()
    echoed = F.cross_entropy(logits, BATCH.target, reduction="none")
    losses = F.cross_entropy(model(BATCH.image).logits, BATCH.target, reduction="none")
    expected = (v * echoed).mean() + 3 * (w * losses).mean()
    assert strategy.loss(model, BATCH).total.item() == pytest.approx(expected.item(), rel=1e-5)


def test_state_survives():
    strategy, model = pair(threshold=1.0)
    observe([strategy], model, [BATCH])
    restored, _ = pair(threshold=1.0)
    restored.load_state_dict(strategy.state_dict())
    assert torch.equal(restored.loss(model, BATCH).total, strategy.loss(model, BATCH).total)


@pytest.mark.parametrize(
    ("option", "value"), [("decay", 0.0), ("threshold", 1.5), ("strength", 0.0)]
)
def test_refuses(option, value):
    with pytest.raises(ValueError, match=f"{option} must .* for Echoes; got"):
        pair(**{option: value})


class Witness(nn.Module):
    """Measures the first logit, and keeps what it observes and the modes it saw."""

    def __init__(self) -> None:
        super().__init__()
        self.modes: list[bool] = []

    def measure(self, model: nn.Module, batch: Batch) -> Tensor:
        self.modes += [model.training, self.training, torch.is_grad_enabled()]
        return model(batch.image).logits[:, 0]

    def observe(self, seen: Observed) -> None:
        self.seen = seen


def test_observers_read_all_samples_by_row_in_evaluation_mode():
    model, witness = TinyClassifier(), Witness()
    model.head.eval()
    observe([witness], model, halves(BATCH))
    order = BATCH.index.argsort()
    index, target, bias, values = witness.seen
    assert index.tolist() == list(range(12, 20))
    assert torch.equal(target, BATCH.target[order])
    assert torch.equal(bias, BATCH.bias[order])
    torch.testing.assert_close(values, model(BATCH.image).logits[order, 0].detach())
    assert not any(witness.modes)
    assert [model.training, model.head.training, witness.training] == [True, False, True]


def on_rank(rank: int) -> dict[str, Tensor]:
    torch.manual_seed(0)
    model, witness = TinyClassifier(), Witness()
    observe([witness], model, [halves(BATCH)[rank]])
    return witness.seen._asdict()


@pytest.mark.slow
def test_two_ranks_observe_what_one_process_does(tmp_path):
    ranks = found_by_both(on_rank, tmp_path)
    torch.manual_seed(0)
    model, witness = TinyClassifier(), Witness()
    observe([witness], model, halves(BATCH))
    for rank in ranks:
        for name, value in witness.seen._asdict().items():
            torch.testing.assert_close(rank[name], value)
