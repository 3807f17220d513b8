"""A strategy that corrects for the prior of classes or groups is refused where batches are balanced as well."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from debias import config as configs
from debias.build import build
from debias.checks import check_prior
from debias.data.orders import class_balanced, class_subsample, portion, shuffled, upweighted
from debias.types import Groups
from tests.commands.conftest import overrides


def built(tmp_path: Path, strategy: str, *more: str) -> None:
    build(configs.load("drawn_birds/erm", overrides(tmp_path, f"strategy={strategy}", *more)))


TWICE = [
    ("{name: conditional_logit_adjustment}", "group_balanced"),
    ("{name: group_reweighting, power: 0.5}", "group_subsample"),
    ("{name: bias_contrastive, balanced_logits: true}", "group_balanced"),
    ("{name: domain_discriminative, divide_by_prior: true}", "group_balanced"),
]
ONCE = [
    ("{name: conditional_logit_adjustment}", "shuffled"),
    ("{name: conditional_logit_adjustment, tau: 0.0}", "group_balanced"),
    ("{name: bias_contrastive}", "group_balanced"),
    ("{name: domain_discriminative}", "group_balanced"),
    # these birds have as many of either class: to balance classes changes nothing
    ("{name: class_reweighting}", "class_balanced"),
    ("{name: logit_adjustment}", "group_balanced"),
]


@pytest.mark.parametrize(("strategy", "sampler"), TWICE)
def test_balanced_batches_are_refused(tmp_path, strategy, sampler):
    with pytest.raises(ValueError, match=rf"and sampler.name={sampler} draws them otherwise.* sampler.name=shuffled"):
        built(tmp_path, strategy, f"sampler.name={sampler}")


@pytest.mark.parametrize(("strategy", "sampler"), ONCE)
def test_what_corrects_once_is_built(tmp_path, strategy, sampler):
    built(tmp_path, strategy, f"sampler.name={sampler}")


def test_recombined_batches_are_refused_where_the_bias_moves(tmp_path):
    options = ("{name: conditional_logit_adjustment}", "augment.name=recombination")
    with pytest.raises(ValueError, match=r"in the batches of augment\.name=recombination it says something else"):
        built(tmp_path, *options)
    built(tmp_path, *options, "augment.bias_follows=foreground")
    built(tmp_path, "{name: logit_adjustment}", "augment.name=recombination")


def test_draws_of_another_class_than_the_data_has(tmp_path):
    """Of 100 samples 80 are of class 0: balanced, 3 of 10 draws move. A half of each class keeps the shares."""
    parts = build(configs.load("drawn_birds/erm", overrides(tmp_path, "strategy={name: class_reweighting}")))
    config = configs.load("drawn_birds/erm", overrides(tmp_path, "strategy={name: class_reweighting}"))
    row, groups = torch.tensor([0] * 80 + [1] * 20), Groups(("a", "b"), ("0", "1"))
    doubled = upweighted((row == 1).long(), groups, copies=1)
    for order in (class_balanced(row, groups), class_subsample(row, groups, 0), doubled):
        with pytest.raises(ValueError, match="both together correct twice"):
            check_prior(config, parts.module, order, row, torch.tensor([80.0, 20.0]))
    for order in (shuffled(row), portion(row, 0, share=0.5)):
        check_prior(config, parts.module, order, row, torch.tensor([80.0, 20.0]))
