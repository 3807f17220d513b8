"""The contrastive loss against its definition, sample by sample in float64, and its properties."""

import math
from functools import partial

import pytest
import torch

from debias.losses.supervised_contrastive import (
    across_biases,
    cosine_similarities,
    generalized_contrastive_losses,
    soft_positives,
    supervised_contrastive_losses,
    view_contrastive_losses,
)
from tests.properties import (
    assert_differentiable,
    assert_one_graph,
    assert_permutation_invariant,
    assert_pure,
)

FEATURES = torch.randn(7, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
TARGET = torch.tensor([0, 0, 1, 1, 0, 2, 1])
BIAS = torch.tensor([0, 1, 0, 0, 0, 1, -1])


def bias_contrastive(features, target, bias):
    return supervised_contrastive_losses(
        cosine_similarities(features), across_biases(target, bias), temperature=0.5
    )


def cosine(x, y):
    return sum(a * b for a, b in zip(x, y, strict=True)) / math.sqrt(
        sum(a * a for a in x) * sum(b * b for b in y)
    )


def naive(features, positives, temperature):
    losses = []
    for i, anchor in enumerate(features):
        scores = {
            j: math.exp(cosine(anchor, other) / temperature)
            for j, other in enumerate(features)
            if j != i
        }
        shares = [math.log(scores[j] / sum(scores.values())) for j in positives[i]]
        losses.append(-sum(shares) / len(shares) if shares else 0.0)
    return losses


def test_equals_the_definition():
    """Positives by hand: same target, other bias, both known. 2 and 3 share their bias, 5 is alone,
    6 is unknown.
    """
    positives = [[1], [0, 4], [], [], [1], [], []]
    expected = naive(FEATURES.tolist(), positives, 0.5)
    assert bias_contrastive(FEATURES, TARGET, BIAS).tolist() == pytest.approx(expected, rel=1e-10)


def test_with_the_class_for_positives_it_is_supcon():
    same = TARGET[:, None] == TARGET
    positives = [[1, 4], [0, 4], [3, 6], [2, 6], [0, 1], [], [2, 3]]
    found = supervised_contrastive_losses(cosine_similarities(FEATURES), same, temperature=0.5)
    assert found.tolist() == pytest.approx(naive(FEATURES.tolist(), positives, 0.5), rel=1e-10)


def test_by_hand():
    """Unit vectors at 0, 60 and 90 degrees, the first two positive, tau = 1.

    The first: log(e^0.5 + e^0) - 0.5 = log(1 + e^-0.5). The second, with cos 30 = sqrt(3) / 2 to
    the third: log(e^0.5 + e^0.866) - 0.5.
    """
    features = torch.tensor([[2.0, 0.0], [0.5, math.sqrt(0.75)], [0.0, 3.0]], dtype=torch.float64)
    pair = torch.tensor([[False, True, False], [True, False, False], [False, False, False]])
    found = supervised_contrastive_losses(cosine_similarities(features), pair, temperature=1.0)
    second = math.log(math.exp(0.5) + math.exp(math.sqrt(3) / 2)) - 0.5
    assert found.tolist() == pytest.approx([math.log(1 + math.exp(-0.5)), second, 0.0])


def test_gradient():
    assert_differentiable(bias_contrastive, FEATURES, TARGET, BIAS)


def test_gradient_of_a_similarity_is_its_share_less_the_wanted_one():
    """dl_i / dG_ij = (softmax_j - [j is positive] / |P_i|) / tau: positives are drawn near, all
    others pushed away.
    """
    similarities = cosine_similarities(FEATURES).requires_grad_()
    positive = across_biases(TARGET, BIAS)
    loss = supervised_contrastive_losses(similarities, positive, temperature=0.5).sum()
    (gradient,) = torch.autograd.grad(loss, similarities)
    for i, wanted in ((0, [1]), (1, [0, 4]), (4, [1])):
        scores = [math.exp(value / 0.5) for value in similarities[i].tolist()]
        scores[i] = 0.0
        expected = [s / sum(scores) - (j in wanted) / len(wanted) for j, s in enumerate(scores)]
        assert gradient[i].tolist() == pytest.approx([value / 0.5 for value in expected])
    assert gradient[[2, 3, 5, 6]].eq(0).all()


def test_properties():
    assert_permutation_invariant(
        lambda *columns: bias_contrastive(*columns).mean(), FEATURES, TARGET, BIAS
    )
    assert_pure(bias_contrastive, FEATURES, TARGET, BIAS)
    # only directions count
    scaled = FEATURES * torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0, 0.1, 7.0])[:, None]
    torch.testing.assert_close(
        bias_contrastive(scaled, TARGET, BIAS), bias_contrastive(FEATURES, TARGET, BIAS)
    )


def test_a_batch_without_positives_costs_nothing():
    features = FEATURES.clone().requires_grad_()
    losses = bias_contrastive(features, TARGET, torch.zeros(7, dtype=torch.int64))
    assert losses.tolist() == [0.0] * 7
    (gradient,) = torch.autograd.grad(losses.sum(), features)
    assert gradient.eq(0).all()


def test_small_temperatures_stay_finite():
    """exp(1 / 0.005) is beyond float32."""
    similarities = torch.tensor([[1.0, -1.0, 1.0], [-1.0, 1.0, -1.0], [1.0, -1.0, 1.0]])
    positive = torch.tensor([[False, True, False], [True, False, False], [False, False, False]])
    found = supervised_contrastive_losses(similarities, positive, temperature=0.005)
    assert found.tolist() == pytest.approx([400.0, math.log(2), 0.0], rel=1e-5)


def test_low_precision_is_avoided():
    features = FEATURES.float()
    with torch.autocast("cpu", torch.bfloat16):
        low = bias_contrastive(features, TARGET, BIAS)
    assert torch.equal(low, bias_contrastive(features, TARGET, BIAS))


def test_compiles_to_one_graph():
    assert_one_graph(bias_contrastive, FEATURES, TARGET, BIAS)


def test_across_biases_is_symmetric_and_leaves_out_the_unknown():
    found = across_biases(TARGET, BIAS)
    assert torch.equal(found, found.T)
    assert found.nonzero().tolist() == [[0, 1], [1, 0], [1, 4], [4, 1]]


def weighted(features, weights, temperature):
    """The definition with weights, in plain Python: a weighted mean over the others."""
    losses = []
    for i, anchor in enumerate(features):
        scores = {
            j: math.exp(cosine(anchor, other) / temperature)
            for j, other in enumerate(features)
            if j != i
        }
        shares = [weights[i][j] * math.log(scores[j] / sum(scores.values())) for j in scores]
        total = sum(weights[i][j] for j in scores)
        losses.append(-sum(shares) / total if total else 0.0)
    return losses


def test_with_weights_by_hand():
    """Orthogonal unit vectors, tau = 1: all similarities are 0, so that any weighted mean of log 3
    is log 3.

    With the second equal to the first, its share is e / (e + 2) and a third's 1 / (e + 2): weights
    3 and 1 give log(e + 2) - 3/4.
    """
    even = torch.eye(4, dtype=torch.float64)
    weights = torch.tensor([[9.0, 3.0, 1.0, 0.0]] * 4, dtype=torch.float64)
    found = supervised_contrastive_losses(cosine_similarities(even), weights, temperature=1.0)
    assert found.tolist() == pytest.approx([math.log(3)] * 4)
    even[1] = even[0]
    found = supervised_contrastive_losses(cosine_similarities(even), weights, temperature=1.0)
    assert found[0].item() == pytest.approx(math.log(math.e + 2) - 0.75)


def test_with_weights_it_equals_the_definition():
    generator = torch.Generator().manual_seed(1)
    weights = torch.rand(7, 7, generator=generator, dtype=torch.float64)
    weights[2], weights[3, 4:] = 0.0, 0.0
    found = supervised_contrastive_losses(cosine_similarities(FEATURES), weights, temperature=0.5)
    assert found.tolist() == pytest.approx(
        weighted(FEATURES.tolist(), weights.tolist(), 0.5), rel=1e-10
    )
    assert found[2] == 0
    # what is common to the weights of a sample does not count
    scaled = supervised_contrastive_losses(
        cosine_similarities(FEATURES), 5 * weights, temperature=0.5
    )
    torch.testing.assert_close(scaled, found)


def test_gradient_of_a_similarity_with_weights():
    """dl_i / dG_ij = (softmax_j - w_ij / sum of w_i) / tau; no gradient through the weights."""
    similarities = cosine_similarities(FEATURES).requires_grad_()
    weights = soft_positives(TARGET, FEATURES.flip(1))
    loss = supervised_contrastive_losses(similarities, weights, temperature=0.5).sum()
    (gradient,) = torch.autograd.grad(loss, similarities)
    for i in (0, 1, 2, 3, 4, 6):
        scores = [math.exp(value / 0.5) for value in similarities[i].tolist()]
        scores[i] = 0.0
        row = weights[i].tolist()
        expected = [
            (s / sum(scores) - w / sum(row)) / 0.5 for s, w in zip(scores, row, strict=True)
        ]
        assert gradient[i].tolist() == pytest.approx(expected)
    assert gradient[5].eq(0).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_weights_of_zero_and_one_are_a_set_to_the_last_bit(dtype):
    """Values and gradients, also of a sample that is compared with few and has no positive."""
    similarities = cosine_similarities(FEATURES.to(dtype))
    similarities[3, [0, 1]] = -torch.inf
    found = []
    for positive in (across_biases(TARGET, BIAS), across_biases(TARGET, BIAS).to(dtype)):
        leaf = similarities.clone().requires_grad_()
        losses = supervised_contrastive_losses(leaf, positive, temperature=0.07)
        found.append((losses.detach(), *torch.autograd.grad(losses.sum(), leaf)))
    assert found[0][0].gt(0).sum() == 3
    assert all(torch.equal(one, other) for one, other in zip(*found, strict=True))


def test_a_set_gives_what_it_gave_before_there_were_weights():
    """The sum over the positives by their number, as written without weights; to the last bit."""
    scores = cosine_similarities(FEATURES.float()) / 0.07
    others = ~torch.eye(7, dtype=torch.bool)
    positive = across_biases(TARGET, BIAS) & others
    log_share = scores - torch.where(others, scores, -torch.inf).logsumexp(dim=1, keepdim=True)
    expected = torch.where(positive, -log_share, 0.0).sum(dim=1) / positive.sum(dim=1).clamp(min=1)
    found = supervised_contrastive_losses(
        cosine_similarities(FEATURES.float()), positive, temperature=0.07
    )
    assert torch.equal(found, expected)


def test_generalised_contrast_by_hand():
    """Shares 3/4 and 1/4 of both others. Sample 0 has the positive 1: q (3/4)^q log(4/3)."""
    similarities = torch.tensor([[9.0, math.log(3), 0.0], [0.0, 9.0, 0.0], [0.0, 0.0, 9.0]])
    positive = torch.tensor([[True, True, False], [True, True, False], [False, False, True]])
    found = generalized_contrastive_losses(similarities, positive, q=0.5, temperature=1.0)
    expected = [0.5 * 0.75**0.5 * math.log(4 / 3), 0.5 * 0.5**0.5 * math.log(2), 0.0]
    assert found.tolist() == pytest.approx(expected)


def test_the_weights_of_generalised_contrast_have_no_gradient_and_vanish_with_q():
    similarities = torch.tensor([[0.0, 0.3], [0.7, 0.0]])
    similarities = torch.nn.functional.pad(similarities, (0, 1, 0, 1)).requires_grad_()
    positive = torch.tensor([[False, True, False], [False, False, False], [False, False, False]])
    plain = supervised_contrastive_losses(similarities, positive, temperature=0.5)
    (slope,) = torch.autograd.grad(plain.sum(), similarities)
    for q in (1e-6, 0.7, 1.0):
        amplified = generalized_contrastive_losses(similarities, positive, q=q, temperature=0.5)
        (found,) = torch.autograd.grad(amplified.sum(), similarities)
        weight = q * math.exp(-plain[0].item()) ** q
        torch.testing.assert_close(found, weight * slope)


def test_soft_positives_by_hand():
    """Of class 0: (1, 0), (0, 2) and (3, 4), cosines 0, 3/5 and 4/5; (-1, 0) is opposite, 2 away,
    but of class 1.
    """
    features = torch.tensor(
        [[1.0, 0.0], [0.0, 2.0], [3.0, 4.0], [-1.0, 0.0], [-7.0, 0.0], [1.0, 0.0]]
    )
    found = soft_positives(torch.tensor([0, 0, 0, 1, 1, 1]), features.double())
    expected = torch.zeros(6, 6, dtype=torch.float64)
    expected[0, 1] = 1.0
    expected[0, 2] = 0.4
    expected[1, 2] = 0.2
    expected[3, 5] = 2.0
    expected[4, 5] = 2.0
    torch.testing.assert_close(found, expected + expected.T)


def test_rounding_is_no_distance():
    """Multiples of one feature have a cosine of 1 but for rounding, which would weigh alone."""
    features = torch.outer(
        torch.linspace(0.1, 7, 50), torch.rand(64, generator=torch.Generator().manual_seed(0))
    )
    rounded = 1 - cosine_similarities(features)
    assert rounded.abs().max() > 0
    assert soft_positives(torch.zeros(50, dtype=torch.int64), features).eq(0).all()


def test_soft_positives_give_the_bias_features_no_gradient():
    features = FEATURES.clone().requires_grad_()
    assert not soft_positives(TARGET, features).requires_grad
    assert_pure(soft_positives, TARGET, FEATURES)


@pytest.mark.parametrize("temperature", [0.1, 0.5, 2.0])
def test_equal_views_of_orthogonal_samples(temperature):
    """The positive has a cosine of 1, and the 2 N - 2 other views have 0."""
    for samples in (2, 5):
        views = torch.eye(samples, 7, dtype=torch.float64)
        found = view_contrastive_losses(3 * views, views, temperature=temperature)
        expected = math.log(1 + (2 * samples - 2) * math.exp(-1 / temperature))
        torch.testing.assert_close(found, torch.full_like(found, expected))
        assert found.shape == (2 * samples,)


def test_view_contrast_by_its_definition():
    """Computed for each view alone: every view of another sample is a negative."""
    generator = torch.Generator().manual_seed(0)
    views = torch.randn(2, 4, 3, dtype=torch.float64, generator=generator)
    rows = [each / each.norm() for each in views.flatten(0, 1)]
    expected = []
    for i, row in enumerate(rows):
        similar = {k: math.exp(float(row @ other) / 0.3) for k, other in enumerate(rows) if k != i}
        expected.append(-math.log(similar[(i + 4) % 8] / sum(similar.values())))
    found = view_contrastive_losses(*views, temperature=0.3)
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float64))
    assert_pure(partial(view_contrastive_losses, temperature=0.3), *views)


@pytest.mark.parametrize("temperature", [0.0, -0.1])
@pytest.mark.parametrize(
    ("contrast", "second"),
    [
        (supervised_contrastive_losses, torch.ones(2, 2, dtype=torch.bool)),
        (generalized_contrastive_losses, torch.ones(2, 2, dtype=torch.bool)),
        (view_contrastive_losses, torch.eye(2)),
    ],
)
def test_refuses_temperatures(contrast, second, temperature):
    with pytest.raises(ValueError, match=f"temperature must be positive .*; got {temperature}"):
        contrast(torch.eye(2), second, temperature=temperature)


def test_refuses_exponents_of_the_generalised_contrast():
    with pytest.raises(ValueError, match=r"q must lie in \(0, 1\] .*; got 0\.0"):
        generalized_contrastive_losses(torch.eye(2), torch.eye(2).bool(), q=0.0)


def test_features_of_length_0_have_the_cosine_0_and_a_small_gradient():
    """The slope by the zero is twice the direction of the other row, once for each cosine."""
    features = torch.tensor([[0.0, 0.0], [3.0, 4.0]], requires_grad=True)
    cosines = cosine_similarities(features)
    assert cosines.tolist() == [[0.0, 0.0], [0.0, pytest.approx(1.0)]]
    (slope,) = torch.autograd.grad(cosines.sum(), features)
    assert slope[0].tolist() == pytest.approx([1.2, 1.6])
