"""XRM's twins: the objective by definition, who learns from whom, and how labels flip."""

import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from debias.losses.label_memory import flip_probability
from debias.strategies.cross_mistakes import CrossMistakes
from debias.types import Batch
from tests.fakes import GROUPS, TinyClassifier, batch_of

BATCH = batch_of(16)


def pair(seed: int = 0) -> tuple[CrossMistakes, TinyClassifier]:
    """Twins that have learnt something: what they say is no longer 0."""
    torch.manual_seed(0)
    model = TinyClassifier()
    strategy = CrossMistakes(GROUPS, 20, model, seed)
    for network in (model, strategy.network):
        network.head.reset_parameters()
    return strategy, model


def loss_of(
    strategy: CrossMistakes, model: nn.Module, batch: Batch = BATCH, step: int = 0
) -> torch.Tensor:
    (turn,) = strategy.turns(step)
    return turn.objective(model, batch).total


def test_value_by_definition():
    """The sum over the classes of the mean cross-entropy of the twin to which each row belongs."""
    strategy, model = pair()
    logits = torch.where(
        strategy.own[:16, None], model(BATCH.image).logits, strategy.network(BATCH.image).logits
    ).double()
    losses = F.cross_entropy(logits, BATCH.target, reduction="none")
    expected = losses[BATCH.target == 0].mean() + losses[BATCH.target == 1].mean()
    assert loss_of(strategy, model).item() == pytest.approx(expected.item(), rel=1e-6)
    logged = strategy.objective(model, BATCH, step=0).terms["cross_entropy"]
    assert logged.item() == pytest.approx(losses.mean().item(), rel=1e-6)


def test_a_twin_learns_from_its_own_rows_alone():
    """Pictures in the other half change nothing of the model's gradient; such in its own do."""
    gradients = []
    for changed in (None, False, True):
        strategy, model = pair()
        image = BATCH.image.clone()
        if changed is not None:
            image[strategy.own[:16] == changed] += 1
        loss_of(strategy, model, BATCH._replace(image=image)).backward()
        gradients.append(model.head.weight.grad)
    assert gradients[0].ne(0).any()
    assert torch.equal(gradients[0], gradients[1])
    assert not torch.allclose(gradients[0], gradients[2])


def test_no_label_flips_before_the_twins_have_learnt():
    """Both say nothing of any image, so that the other one is never surer than the label."""
    model = TinyClassifier()
    strategy = CrossMistakes(GROUPS, 20, model, 0)
    (turn,) = strategy.turns(0)
    first = turn.objective(model, BATCH)
    assert first.total.item() == pytest.approx(2 * math.log(2), rel=1e-6)
    assert first.terms["flipped"].item() == 0


def test_halves_are_fair_differ_by_seed_and_part_all_rows():
    wide = [CrossMistakes(GROUPS, 10000, TinyClassifier(), seed).own for seed in (0, 0, 1)]
    assert torch.equal(wide[0], wide[1])
    assert (wide[0] != wide[2]).float().mean().item() == pytest.approx(0.5, abs=0.03)
    assert wide[0].float().mean().item() == pytest.approx(0.5, abs=0.03)


def certain(value: int) -> nn.Module:
    """A classifier that is certain of one class, whatever it sees."""
    network = TinyClassifier()
    nn.init.zeros_(network.head.weight)
    with torch.no_grad():
        network.head.bias.copy_(torch.tensor([100.0, -100.0]) * (1 - 2 * value))
    return network


def test_labels_become_what_the_certain_other_twin_says_of_the_next_visit():
    """The model says 0, its twin 1: rows of the model become 1, rows of the twin 0, and each is
    then wrong of all.
    """
    strategy, model = pair()
    model, strategy.network = certain(0), certain(1)
    (turn,) = strategy.turns(0)
    first = turn.objective(model, BATCH)
    said = strategy.own[:16].long()
    assert strategy.memory(BATCH.index, BATCH.target).tolist() == said.tolist()
    assert first.terms["flipped"].item() == pytest.approx(
        (said != BATCH.target).float().mean().item()
    )
    # both classes have a mean of 200: the logits are 200 apart, and the wrong way round
    assert loss_of(strategy, model, step=1).item() == pytest.approx(400)


def test_a_row_flips_with_the_probability_of_its_held_out_confidence():
    """Over 200 steps from the start, by the frequency of each row."""
    strategy, model = pair()
    held_out = torch.where(
        strategy.own[:16, None], strategy.network(BATCH.image).logits, model(BATCH.image).logits
    ).detach()
    expected = flip_probability(held_out) * (held_out.argmax(dim=1) != BATCH.target)
    flipped = torch.zeros(16)
    for step in range(200):
        strategy.memory.labels.fill_(-1)
        loss_of(strategy, model, step=step)
        flipped += strategy.memory(BATCH.index, BATCH.target) != BATCH.target
    torch.testing.assert_close(flipped / 200, expected, atol=0.12, rtol=0)
    assert expected.max() > 0.15


def test_flips_do_not_depend_on_the_rows_beside():
    strategy, model = pair()
    loss_of(strategy, model, step=3)
    other, twin = pair()
    for part in (
        torch.tensor([5, 0, 15, 3, 2, 1, 4]),
        torch.tensor([6, 14, 13, 7, 8, 12, 9, 10, 11]),
    ):
        loss_of(
            other,
            twin,
            Batch(*(None if column is None else column[part] for column in BATCH)),
            step=3,
        )
    assert torch.equal(strategy.memory.labels, other.memory.labels)
    assert strategy.memory.labels[:16].ne(BATCH.target).any()


def test_evaluation_reads_the_model():
    strategy, model = pair()
    assert torch.equal(strategy.classify(model, BATCH.image).logits, model(BATCH.image).logits)


def test_halves_are_part_of_the_state():
    strategy, restored = (pair(seed)[0] for seed in (0, 7))
    restored.load_state_dict(strategy.state_dict())
    assert torch.equal(restored.own, strategy.own)
