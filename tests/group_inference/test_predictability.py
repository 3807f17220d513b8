"""AFLite: scores of held-out samples by hand, and what the filter removes of a drawn shortcut."""

import pytest
import torch

from debias.group_inference.predictability import easiest, predictability, unpredictable

LINE = torch.tensor([[-3.0], [-2.0], [2.0], [3.0], [-2.5], [2.5]])
TARGET = torch.tensor([0, 0, 1, 1, 0, 0])  # the last sample lies among those of class 1
#: Three models: on samples 0 to 3, on the first two (one class), and on all.
PARTS = torch.tensor([[1, 1, 1, 1, 0, 0], [1, 1, 0, 0, 0, 0], [1, 1, 1, 1, 1, 1]]).bool()


def test_a_score_counts_the_models_that_were_not_fitted_on_the_sample():
    """The first is right on sample 4 and wrong on 5; the second says class 0 for 2 to 5."""
    assert predictability(LINE, TARGET, PARTS).tolist() == [0, 0, 0, 0, 1, 0.5]


def test_scores_belong_to_samples_and_not_to_places():
    """Three rows of features and labels in another order have their scores in that order."""
    order = torch.tensor([5, 2, 0, 4, 1, 3])
    moved = predictability(LINE[order], TARGET[order], PARTS[:, order])
    assert torch.equal(moved, predictability(LINE, TARGET, PARTS)[order])


def test_a_round_removes_the_easiest_of_each_class():
    """Class 0 had 10 samples and may lose 2 and keep 5: of 6 it loses one. Class 1 had 4, may lose
    one (0.8), and its best score is equal twice: the first goes. The third is below the threshold.
    """
    score = torch.tensor([0.9, 1.0, 0.7, 0.95, 0.3, 0.2, 0.8, 0.9, 0.9])
    target = torch.tensor([0, 0, 0, 0, 0, 0, 1, 1, 1])
    settings = {"removed": 0.2, "least": 0.5, "threshold": 0.75}
    chosen, full = easiest(score, target, torch.tensor([10, 4]), **settings)
    assert (chosen.tolist(), full) == ([1, 7], True)
    chosen, full = easiest(score, target, torch.tensor([12, 6]), **settings)
    assert (chosen.tolist(), full) == ([], False)  # as many remain as must: 6 and 3
    settings["threshold"] = 0.96
    chosen, full = easiest(score, target, torch.tensor([10, 20]), **settings | {"least": 0.1})
    assert (chosen.tolist(), full) == ([1], False)  # of the 2 and 4 that may go


def shortcut(samples: int = 200) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Features that show the bias alone, classes, and whether the bias misleads: one in twenty."""
    generator = torch.Generator().manual_seed(1)
    target = torch.arange(samples) % 2
    conflicting = torch.arange(samples) // 2 % 20 == 0
    bias = torch.where(conflicting, 1 - target, target)
    features = torch.randn(samples, 3, generator=generator)
    features[:, 0] = 4.0 * (2 * bias - 1) + 0.5 * features[:, 0]
    return features, target, conflicting


def kept_of(features: torch.Tensor, target: torch.Tensor, **settings: float) -> torch.Tensor:
    options: dict[str, float] = {"models": 6, "removed": 0.1, "fitted": 0.1, "least": 0.2}
    generator = torch.Generator().manual_seed(0)
    return unpredictable(features, target, generator, **options | settings)  # type: ignore[arg-type]


def test_what_the_shortcut_makes_easy_goes_and_what_it_misleads_stays():
    """Each class keeps its 5 conflicting samples, and of 95 aligned ones 15: a fifth of 100."""
    features, target, conflicting = shortcut()
    kept = kept_of(features, target)
    assert bool(kept[conflicting].all())
    assert torch.bincount(target[kept]).tolist() == [20, 20]
    assert kept[conflicting].float().mean() > kept[~conflicting].float().mean()


def test_a_filter_of_small_classes_ends_at_the_least_share():
    """Of 24 samples, a round removes one and not 1.44: half of them are gone after 12 rounds."""
    target = torch.arange(48) % 2
    features = (2.0 * target - 1)[:, None] + torch.zeros(48, 1)
    kept = kept_of(features, target, models=2, removed=0.06, least=0.5, fitted=0.2, threshold=0.0)
    assert torch.bincount(target[kept]).tolist() == [12, 12]


def test_what_nothing_predicts_or_no_score_reaches_is_kept():
    """Equal features and balanced classes: one class is always said, right for half of S alone."""
    features, target, _ = shortcut(80)
    assert bool(kept_of(features, target, threshold=1.01).all())
    noise = torch.randn(80, 3, generator=torch.Generator().manual_seed(3))
    assert float(kept_of(noise, target, threshold=0.95, models=12).float().mean()) > 0.9


def test_the_number_of_tests_of_a_sample():
    """Of m models on random parts of t among N, m(1 - t/N) in expectation do not see a sample: with
    scores of 1 where any model tests, 4 models on 9 of 10 leave about 0.9^4 untested.
    """
    generator = torch.Generator().manual_seed(0)
    orders = torch.stack([torch.randperm(400, generator=generator) for _ in range(64)])
    held_out = (orders >= 100).sum(dim=0).double()
    assert held_out.mean().item() == 48
    assert (held_out > 30).all()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"models": 0}, "models must be at least 1 for AFLite; got 0"),
        ({"fitted": 1.0}, r"fitted must lie in \(0, 1\) for AFLite; got 1"),
        ({"removed": 0.0}, r"removed must lie in \(0, 1\) for AFLite; got 0"),
        ({"least": 1.5}, r"least must lie in \(0, 1\] for AFLite; got 1.5"),
        ({"threshold": -0.1}, "threshold must be at least 0 for AFLite; got -0.1"),
        ({"fitted": 0.3}, "fitted must be below least.*got fitted=0.3 and least=0.2"),
    ],
)
def test_what_it_refuses(settings, message):
    with pytest.raises(ValueError, match=message):
        kept_of(LINE, TARGET, **settings)
