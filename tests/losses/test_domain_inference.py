"""How a class is read from several heads: worked tables, Bayes' rule written out, limits."""

import math

import pytest
import torch

from debias.losses.domain_inference import head_average, head_probability, joint_score
from tests.properties import assert_one_graph

#: Two samples, three classes, two heads.
LOGITS = torch.randn(2, 3, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
PRIOR = torch.tensor([[0.4, 0.1], [0.05, 0.2], [0.15, 0.1]], dtype=torch.float64)


def softmax(values):
    total = sum(math.exp(value) for value in values)
    return [math.exp(value) / total for value in values]


def test_by_hand():
    """Heads of logits (3, 0, -9) and (-4, 0, -9) say class 1 together, the joint softmax class 0.

    Mean logits -0.5 and 0. Probabilities of class 0: 1 / (1 + e^-3) = 0.9525 and 1 / (1 + e^4) =
    0.0180, with mean 0.4853. In the joint softmax, class 0 has e^3 + e^-4 against 2, or e^3 against
    1 by the maximum.
    """
    heads = torch.tensor([[[3.0, -4.0], [0.0, 0.0], [-9.0, -9.0]]])
    assert head_average(heads).tolist() == [[-0.5, 0.0, -9.0]]
    assert head_probability(heads).exp()[0, :2].tolist() == pytest.approx(
        [0.4853, 0.5146], abs=2e-4
    )
    total = math.exp(3) + math.exp(-4) + 2 + 2 * math.exp(-9)
    joint = joint_score(heads).exp()[0, :2]
    assert joint.tolist() == pytest.approx([(math.exp(3) + math.exp(-4)) / total, 2 / total])
    greatest = joint_score(heads, greatest=True).exp()[0, :2]
    assert greatest.tolist() == pytest.approx([math.exp(3) / total, 1 / total])


def test_a_sure_head_outvotes_by_logits_and_not_by_probabilities():
    """Heads (9, 0), (-2, 0), (-2, 0): logits of class 0 add to 5, two probabilities are 0.12."""
    heads = torch.tensor([[[9.0, -2.0, -2.0], [0.0, 0.0, 0.0]]])
    assert head_average(heads).argmax().item() == 0
    mean = (1 / (1 + math.exp(-9)) + 2 / (1 + math.exp(2))) / 3
    assert head_probability(heads).exp()[0].tolist() == pytest.approx([mean, 1 - mean], rel=1e-5)
    assert mean < 0.5


def test_head_average_decides_as_the_sum():
    torch.testing.assert_close(head_average(LOGITS) * 2, LOGITS[..., 0] + LOGITS[..., 1])


def test_head_probability_equals_the_mean_of_softmaxes():
    for sample, found in zip(LOGITS.tolist(), head_probability(LOGITS), strict=True):
        heads = [softmax([row[head] for row in sample]) for head in range(2)]
        expected = [(first + second) / 2 for first, second in zip(*heads, strict=True)]
        assert found.softmax(dim=0).tolist() == pytest.approx(expected, rel=1e-10)


def test_head_probability_of_labels_equals_the_mean_of_sigmoids():
    found = head_probability(LOGITS, multi_label=True)
    torch.testing.assert_close(found.sigmoid(), LOGITS.sigmoid().mean(dim=2))


@pytest.mark.parametrize("multi_label", [False, True])
def test_extreme_logits_stay_finite(multi_label):
    """Both heads are sure of class 0, beyond what a probability can hold."""
    heads = torch.tensor([[[500.0, 300.0], [-500.0, -300.0]]])
    found = head_probability(heads, multi_label=multi_label)
    assert bool(found.isfinite().all())
    # the second head, less sure, decides how small the mean is: log(e^-600 / 2), and for labels
    # log(e^-300 / 2)
    expected = -300 - math.log(2) if multi_label else -600 - math.log(2)
    assert found[0, 1].item() == pytest.approx(expected)


@pytest.mark.parametrize("greatest", [False, True])
@pytest.mark.parametrize("prior", [None, PRIOR])
def test_joint_score_equals_the_definition(greatest, prior):
    for sample, found in zip(
        LOGITS.tolist(),
        joint_score(LOGITS, log_prior=None if prior is None else prior.log(), greatest=greatest),
        strict=True,
    ):  # fmt: skip
        joint = softmax([value for row in sample for value in row])
        shares = [1.0] * 6 if prior is None else prior.flatten().tolist()
        ratios = [p / share for p, share in zip(joint, shares, strict=True)]
        pairs = [ratios[0:2], ratios[2:4], ratios[4:6]]
        expected = [max(pair) if greatest else sum(pair) for pair in pairs]
        assert found.exp().tolist() == pytest.approx(expected, rel=1e-10)


def test_without_prior_the_sum_is_the_posterior_of_the_class():
    assert joint_score(LOGITS).exp().sum(dim=1).tolist() == pytest.approx([1.0, 1.0])


def test_dividing_by_the_prior_undoes_a_prior_in_the_logits():
    """Logits that are log-likelihood plus log-prior: the score is that of the likelihood, up to a
    constant a sample.
    """
    found = joint_score(LOGITS + PRIOR.log(), log_prior=PRIOR.log())
    torch.testing.assert_close(found.log_softmax(dim=1), joint_score(LOGITS).log_softmax(dim=1))


def test_one_head_is_a_plain_classifier():
    one = LOGITS[..., :1]
    torch.testing.assert_close(head_average(one), one[..., 0])
    torch.testing.assert_close(head_probability(one), one[..., 0].log_softmax(dim=1))
    torch.testing.assert_close(head_probability(one, multi_label=True), one[..., 0])
    torch.testing.assert_close(joint_score(one), one[..., 0].log_softmax(dim=1))


@pytest.mark.parametrize("greatest", [False, True])
def test_a_group_of_share_0_is_left_out_of_joint_scores(greatest):
    """Probabilities 0.4 and 0.1 of class 0, whose second group is empty: 0.4 / 0.5 is left."""
    joint = torch.tensor([[[0.4, 0.1], [0.3, 0.2]]]).log()
    prior = torch.tensor([[0.5, 0.0], [0.25, 0.25]]).log()
    scores = joint_score(joint, log_prior=prior, greatest=greatest).exp()
    expected = [0.8, 1.2] if greatest else [0.8, 2.0]
    assert scores[0].tolist() == pytest.approx(expected)


@pytest.mark.parametrize("rule", [head_average, head_probability, joint_score])
def test_is_at_least_float32(rule):
    assert rule(LOGITS.bfloat16()).dtype == torch.float32
    assert_one_graph(rule, LOGITS)
