"""Domain-independent and domain-discriminative training: whose head learns, how it is read."""

import pytest
import torch
from torch.nn import functional as F

from debias.strategies.domain_discriminative import DomainDiscriminative
from debias.strategies.domain_independent import DomainIndependent
from debias.types import Batch, Groups
from tests.fakes import GROUPS, TinyClassifier, batch_of

LABELS = Groups(
    ("no", "yes", "no hat", "hat", "no tie", "tie"), ("land", "water"), multi_label=True
)
FREQUENCIES = torch.tensor([57, 3, 3, 57])


@pytest.fixture
def model():
    torch.manual_seed(0)
    return TinyClassifier(outputs=4)


def by_group(model, image):
    """Logits by class and bias: class by class, the values of the bias side by side."""
    return model(image).logits.view(-1, 2, 2)


def test_a_sample_trains_the_head_of_its_bias(model):
    batch, strategy = batch_of(8), DomainIndependent(GROUPS)
    logits = by_group(model, batch.image)
    own = torch.stack([logits[i, :, b] for i, b in enumerate(batch.bias)])
    loss = strategy.loss(model, batch).total
    assert loss.item() == pytest.approx(F.cross_entropy(own, batch.target).item())
    strategy.loss(model, batch._replace(bias=torch.ones(8, dtype=torch.int64))).total.backward()
    assert model.head.weight.grad is not None
    assert model.head.weight.grad.ne(0).any(dim=1).tolist() == [False, True, False, True]
    assert all(parameter.grad.ne(0).any() for parameter in model.body.parameters())


def test_inferences(model):
    image = batch_of(8).image
    heads = by_group(model, image)
    read = DomainIndependent(GROUPS).classify(model, image)
    torch.testing.assert_close(read.logits, heads.mean(dim=2))
    assert torch.equal(read.features, model(image).features)
    read = DomainIndependent(GROUPS, inference="probabilities").classify(model, image)
    torch.testing.assert_close(read.logits.softmax(dim=1), heads.softmax(dim=1).mean(dim=2))


def test_labels_have_heads_as_well():
    """Three labels, two biases: BCE averaged over the labels, on the own head; sigmoids are
    averaged label by label.
    """
    torch.manual_seed(0)
    model, batch = TinyClassifier(outputs=DomainIndependent.model_outputs(LABELS)), batch_of(8)
    target = torch.randint(2, (8, 3), generator=torch.Generator().manual_seed(1))
    batch = batch._replace(target=target)
    logits = model(batch.image).logits.view(8, 3, 2)
    own = torch.stack([logits[i, :, b] for i, b in enumerate(batch.bias)])
    expected = F.binary_cross_entropy_with_logits(own, target.float())
    assert DomainIndependent(LABELS).loss(model, batch).total.item() == pytest.approx(
        expected.item()
    )
    read = DomainIndependent(LABELS, inference="probabilities").classify(model, batch.image)
    torch.testing.assert_close(read.logits.sigmoid(), logits.sigmoid().mean(dim=2))


def test_one_softmax_over_the_groups(model):
    batch = batch_of(8)
    strategy = DomainDiscriminative(GROUPS, FREQUENCIES)
    expected = F.cross_entropy(model(batch.image).logits, GROUPS.encode(batch.target, batch.bias))
    assert strategy.loss(model, batch).total.item() == pytest.approx(expected.item())
    joint = model(batch.image).logits.softmax(dim=1).view(8, 2, 2)
    torch.testing.assert_close(strategy.classify(model, batch.image).logits.exp(), joint.sum(dim=2))
    greatest = DomainDiscriminative(GROUPS, FREQUENCIES, inference="max").classify(
        model, batch.image
    )
    torch.testing.assert_close(greatest.logits.exp(), joint.amax(dim=2))
    corrected = DomainDiscriminative(GROUPS, FREQUENCIES, divide_by_prior=True).classify(
        model, batch.image
    )
    shares = FREQUENCIES.view(2, 2) / 120
    torch.testing.assert_close(corrected.logits.exp(), (joint / shares).sum(dim=2))


def test_a_prior_decides():
    """p = 0.1, 0.3; 0.2, 0.4, shares 0.475, 0.025; 0.025, 0.475: 0.4 : 0.6 becomes 12.2 : 8.8."""
    model, image = TinyClassifier(outputs=4), torch.zeros(1, 3, 2, 2)
    model.head.weight.data.zero_()
    model.head.bias.data = torch.tensor([0.1, 0.3, 0.2, 0.4]).log()
    plain = DomainDiscriminative(GROUPS, FREQUENCIES).classify(model, image)
    assert plain.logits.exp()[0].tolist() == pytest.approx([0.4, 0.6])
    corrected = DomainDiscriminative(GROUPS, FREQUENCIES, divide_by_prior=True).classify(
        model, image
    )
    expected = [0.1 / 0.475 + 0.3 / 0.025, 0.2 / 0.025 + 0.4 / 0.475]
    assert corrected.logits.exp()[0].tolist() == pytest.approx(expected)


@pytest.mark.parametrize(
    "strategy",
    [DomainIndependent(GROUPS), DomainDiscriminative(GROUPS, FREQUENCIES)],
    ids=lambda s: type(s).__name__,
)
def test_weights_count_and_unknown_biases_do_not(model, strategy):
    batch = batch_of(8)
    known = torch.tensor([True, False, True, True] * 2)
    weight = torch.rand(8, generator=torch.Generator().manual_seed(1))
    singly = [Batch(*(column[i : i + 1] for column in batch[:4])) for i in range(8)]
    each = torch.stack([strategy.loss(model, one).total for one in singly])
    masked = batch._replace(bias=batch.bias.masked_fill(~known, -1), weight=weight)
    expected = (each * weight)[known].mean()
    assert strategy.loss(model, masked).total.item() == pytest.approx(expected.item(), rel=1e-6)


def test_how_many_logits():
    assert DomainIndependent.model_outputs(GROUPS) == 4
    assert DomainIndependent.model_outputs(LABELS) == 6
    assert DomainDiscriminative.model_outputs(Groups(("a", "b", "c"), ("x", "y"))) == 6


def test_the_prior_is_in_the_state():
    one = DomainDiscriminative(GROUPS, FREQUENCIES, divide_by_prior=True)
    other = DomainDiscriminative(GROUPS, torch.ones(4), divide_by_prior=True)
    other.load_state_dict(one.state_dict())
    assert torch.equal(other.log_prior, one.log_prior)


def test_refuses():
    with pytest.raises(
        ValueError, match=r"inference must be one of .* for DomainIndependent; got 'sums'"
    ):
        DomainIndependent(GROUPS, inference="sums")
    with pytest.raises(
        ValueError, match=r"inference must be one of .* for DomainDiscriminative; got 'mean'"
    ):
        DomainDiscriminative(GROUPS, FREQUENCIES, inference="mean")
    with pytest.raises(ValueError, match=r"\[0, 0, 1, 5\]: set divide_by_prior=false"):
        DomainDiscriminative(GROUPS, torch.tensor([0, 0, 1, 5]), divide_by_prior=True)
