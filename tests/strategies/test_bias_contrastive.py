"""BiasContrastive: its loss from the definition, the balanced logits, and who receives gradient."""

import pytest
import torch
from torch.nn import functional as F

from debias.strategies.bias_contrastive import BiasContrastive
from tests.fakes import GROUPS, TinyClassifier, batch_of

#: Of bias 0, 30 and 10 samples of the classes; of bias 1, 5 and 15.
FREQUENCIES = torch.tensor([30, 5, 10, 15])


@pytest.fixture
def parts():
    torch.manual_seed(0)
    return TinyClassifier(), batch_of(8)


def contrast(features, positives, temperature):
    """Mean over all samples of -mean over positives of the log of the share of the similarity."""
    rows = F.normalize(features.double(), dim=1)
    scores = torch.exp(rows @ rows.T / temperature)
    total = [scores[i].sum() - scores[i, i] for i in range(len(rows))]
    terms = [
        -sum(torch.log(scores[i, j] / total[i]) for j in others) / len(others)
        for i, others in positives.items()
    ]
    return sum(terms) / len(rows)


def test_value(parts):
    """Targets 0 1 0 1 ... and biases 0 0 1 1 ...: 0, 4 are like 2 and 6, 1 and 5 like 3 and 7."""
    model, batch = parts
    positives = {i: [2, 6] for i in (0, 4)} | {i: [0, 4] for i in (2, 6)}
    positives |= {i: [3, 7] for i in (1, 5)} | {i: [1, 5] for i in (3, 7)}
    outputs = model(batch.image)
    expected = contrast(outputs.features, positives, 0.1)
    task = F.cross_entropy(outputs.logits, batch.target)
    loss = BiasContrastive(GROUPS, FREQUENCIES, temperature=0.1, task_weight=0.5).loss(model, batch)
    assert loss.total.item() == pytest.approx((expected + 0.5 * task).item(), rel=1e-5)
    assert loss.terms["contrast"].item() == pytest.approx(expected.item(), rel=1e-5)


def test_anchors_without_positives_stay_in_the_mean(parts):
    """Of the eight, 1 and 2 alone keep a partner: 1 and 3, so that two of eight terms are not 0."""
    model, batch = parts
    bias = torch.tensor([0, 0, 0, 1, 0, -1, 0, -1])
    loss = BiasContrastive(GROUPS, FREQUENCIES, temperature=0.1).loss(
        model, batch._replace(bias=bias)
    )
    expected = contrast(model(batch.image).features, {1: [3], 3: [1]}, 0.1)
    assert loss.terms["contrast"].item() == pytest.approx(expected.item(), rel=1e-5)


def test_balanced_logits(parts):
    """p(y | b): 3/4 and 1/4 of bias 0, 1/4 and 3/4 of bias 1; an unknown bias adds nothing."""
    model, batch = parts
    batch = batch._replace(bias=torch.tensor([0, 0, 1, 1, 0, 0, 1, -1]))
    prior = torch.tensor([[0.75, 0.25], [0.25, 0.75]])[batch.bias.clamp(min=0)].log()
    prior[7] = 0
    expected = F.cross_entropy(model(batch.image).logits + prior, batch.target)
    loss = BiasContrastive(GROUPS, FREQUENCIES, balanced_logits=True).loss(model, batch)
    assert loss.terms["cross_entropy"].item() == pytest.approx(expected.item(), rel=1e-5)
    plain = BiasContrastive(GROUPS, FREQUENCIES).loss(model, batch)
    assert plain.terms["cross_entropy"].item() == pytest.approx(
        F.cross_entropy(model(batch.image).logits, batch.target).item(), rel=1e-5
    )


def test_evaluation_reads_the_logits_as_they_are(parts):
    model, batch = parts
    strategy = BiasContrastive(GROUPS, FREQUENCIES, balanced_logits=True)
    assert torch.equal(strategy.classify(model, batch.image).logits, model(batch.image).logits)


def test_who_receives_gradient(parts):
    """Without the task, the head gets none; the features do."""
    model, batch = parts
    BiasContrastive(GROUPS, FREQUENCIES, task_weight=0.0).loss(model, batch).total.backward()
    assert all(parameter.grad.eq(0).all() for parameter in model.head.parameters())
    assert all(parameter.grad.ne(0).any() for parameter in model.body.parameters())


def test_the_prior_is_in_the_state():
    one = BiasContrastive(GROUPS, FREQUENCIES, balanced_logits=True)
    other = BiasContrastive(GROUPS, torch.ones(4), balanced_logits=True)
    other.load_state_dict(one.state_dict())
    assert torch.equal(other.log_prior, one.log_prior)


def test_refuses():
    with pytest.raises(
        ValueError, match=r"temperature must be positive for BiasContrastive; got 0\.0"
    ):
        BiasContrastive(GROUPS, FREQUENCIES, temperature=0.0)
    with pytest.raises(
        ValueError, match=r"task_weight must be at least 0 for BiasContrastive; got -1\.0"
    ):
        BiasContrastive(GROUPS, FREQUENCIES, task_weight=-1.0)
    assert BiasContrastive.smallest_batch == 2
