"""A strategy that corrects for frequencies of the data is warned of where batches differ."""

import warnings
from types import SimpleNamespace

import pytest
import torch

from debias import config as configs
from debias.augment.augmentation import Unchanged
from debias.augment.companions import Companions
from debias.build import build
from debias.checks import warn_of_old_bias, warn_of_prior
from debias.data.balance import bias_balanced, class_balanced, group_balanced
from debias.data.orders import portion, upweighted
from debias.data.subsamples import class_subsample
from debias.types import Groups
from tests.commands.conftest import overrides

TWICE = [
    ("{name: conditional_logit_adjustment}", "group_balanced"),
    ("{name: group_reweighting, power: 0.5}", "group_subsample"),
    ("{name: bias_contrastive, balanced_logits: true}", "group_balanced"),
    ("{name: domain_discriminative, divide_by_prior: true}", "group_balanced"),
]
ONCE = [
    ("{name: conditional_logit_adjustment}", "shuffled"),
    ("{name: conditional_logit_adjustment, tau: 0.0}", "group_balanced"),
    ("{name: conditional_logit_adjustment}", "bias_balanced"),
    ("{name: group_reweighting, power: 0.0}", "group_balanced"),
    ("{name: bias_contrastive}", "group_balanced"),
    ("{name: domain_discriminative}", "group_balanced"),
    # these birds have as many of either class: to balance classes changes nothing
    ("{name: class_reweighting}", "class_balanced"),
    ("{name: logit_adjustment}", "group_balanced"),
    ("{name: group_dro}", "group_balanced"),
]


def told(tmp_path, strategy: str, *more: str) -> str:
    config = configs.load(
        "drawn_birds", overrides(tmp_path, "data.train=400", f"strategy={strategy}", *more)
    )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        build(config)
    return " ".join(str(one.message) for one in caught if "over-correct" in str(one.message))


@pytest.mark.parametrize(("strategy", "sampler"), TWICE)
def test_balanced_batches_are_told_of(tmp_path, strategy, sampler):
    assert f"and sampler.name={sampler} changes that in its batches" in told(
        tmp_path, strategy, f"sampler={{name: {sampler}}}"
    )


@pytest.mark.parametrize(("strategy", "sampler"), ONCE)
def test_nothing_is_told_of_what_corrects_once(tmp_path, strategy, sampler):
    assert told(tmp_path, strategy, f"sampler={{name: {sampler}}}") == ""


def test_recombined_batches_are_told_of_where_the_bias_moves(tmp_path):
    options = ("{name: conditional_logit_adjustment}", "augment.name=recombination")
    assert "and augment.name=recombination changes that" in told(tmp_path, *options)
    assert told(tmp_path, *options, "augment.bias_follows=foreground") == ""
    assert told(tmp_path, *options, "augment.background=same") == ""
    assert told(tmp_path, "{name: logit_adjustment}", "augment.name=recombination") == ""


@pytest.mark.parametrize(
    ("part", "required", "outdated"),
    [("background", ("bias",), True), ("all", ("some bias", "mask"), True),
     ("foreground", ("bias",), False), ("background", ("mask",), False)],
)  # fmt: skip
def test_bias_labels_of_companions_are_told_of_where_they_are_read(part, required, outdated):
    config = configs.load("drawn_birds", [])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warn_of_old_bias(config, required, outdated=Companions(part=part).outdates_bias)
    assert ["reads bias labels" in str(one.message) for one in caught] == [True] * outdated


ROW = torch.tensor([0] * 80 + [1] * 20)
BIAS = torch.tensor([0] * 64 + [1] * 16 + [0] * 4 + [1] * 16)
GROUPS = Groups(("a", "b"), ("0", "1"))


def moves(prior: str, order) -> bool:
    module = SimpleNamespace(strategy=SimpleNamespace(corrects_prior=prior), augment=Unchanged())
    facts = {"groups": GROUPS, "row": ROW, "group": GROUPS.encode(ROW, BIAS)}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warn_of_prior(configs.load("drawn_birds", []), module, order, facts)  # type: ignore[arg-type]
    return bool(caught)


def test_what_draws_change():
    """Counts 64, 16, 4, 16: balanced classes move 3 of 10 draws to the other class; within a bias,
    balanced groups move 44 and 0 of 100, and balanced biases nothing."""
    doubled = upweighted(ROW == 1, copies=4)
    for order in (class_balanced(ROW, GROUPS), class_subsample(ROW, GROUPS, 0), doubled):
        assert moves("class", order)
    balanced = group_balanced(GROUPS.encode(ROW, BIAS), GROUPS)
    assert moves("group", balanced)
    assert moves("class given bias", balanced)
    assert not moves("class given bias", bias_balanced(BIAS, GROUPS))
    assert not moves("class", portion(ROW, 0, share=0.5))
    assert not moves("", balanced)


def test_chance_is_not_told_of():
    """Of 200 classes with 30 each, a fifth by chance, as many draws of each as there are."""
    row, groups = torch.arange(200).repeat(30), Groups(tuple(map(str, range(200))), ("0",))
    facts = {"groups": groups, "row": row, "group": row}
    module = SimpleNamespace(strategy=SimpleNamespace(corrects_prior="class"), augment=Unchanged())
    config = configs.load("drawn_birds", [])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for order in (portion(row, 0, share=0.2), class_balanced(row, groups)):
            warn_of_prior(config, module, order, facts)  # type: ignore[arg-type]
