"""Augmentations in order: every pair works or is refused in one line, and so does Group DRO."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from debias import components
from debias import config as configs
from debias.augment.augmentation import Augmentation
from debias.augment.companions import Companions
from debias.augment.in_order import InOrder
from debias.methods import METHODS
from debias.recipes.jtt import refuse_readers
from debias.runs.circumstances import own_parts as origins
from debias.runs.run import Run
from debias.strategies.consistency import Consistency
from debias.strategies.group_dro import GroupDRO
from debias.sweeps.checks import _check_options
from debias.training.module import check_targets
from debias.types import Batch, Groups
from tests.augment.test_augmentation import FACTS as ANY_FACTS
from tests.fakes import TinyClassifier

GROUPS = Groups(("landbird", "waterbird"), ("land", "water"))
FACTS = ANY_FACTS | {"groups": GROUPS}
#: Two need weights of the user's. One of them mixes classes as those beside it.
NAMES = [name for name in METHODS["augment"] if name not in ("style_transfer", "translated")]


def made(name: str) -> Augmentation:
    return components.construct("augment", {"name": name}, FACTS)


def batch() -> Batch:
    generator = torch.Generator().manual_seed(0)
    image, background = torch.randn(2, 8, 3, 14, 14, generator=generator)
    number, mask = torch.arange(8), torch.zeros(8, 1, 14, 14)
    mask[:, :, 3:8, 2:9] = 1
    return Batch(image, number % 2, number // 2 % 2, number, mask, background=background)


@pytest.mark.parametrize("earlier", NAMES)
def test_every_pair_works_or_is_refused_in_one_line(earlier):
    for later in NAMES:
        parts = made(earlier), made(later)
        mixed_twice = parts[0].mixes_targets and parts[1].single_label
        if mixed_twice or (parts[0].reads_backgrounds and parts[1].reads_backgrounds):
            with pytest.raises(ValueError, match=r"^augment: .*: use only one of them$"):
                InOrder(*parts)
            continue
        pair = InOrder(*parts)
        before = batch()
        torch.manual_seed(0)
        changed = pair(before, 0.5)
        assert changed.image.isfinite().all()
        assert changed.image.shape == before.image.shape
        torch.manual_seed(0)
        alone = pair.parts[1](pair.parts[0](before, 0.5), 0.5)
        assert torch.equal(changed.image, alone.image)
        assert torch.equal(changed.target, alone.target)


@pytest.mark.parametrize("name", NAMES)
def test_group_dro_takes_every_augmentation_that_keeps_classes(name):
    strategy, pair = GroupDRO(GROUPS, torch.ones(4)), InOrder(made("fda"), made(name))
    if pair.mixes_targets:
        with pytest.raises(ValueError, match=f"^GroupDRO .* {type(pair.parts[1]).__name__} mixes"):
            check_targets(strategy, pair)
        return
    check_targets(strategy, pair)
    changed = pair(batch())
    loss = strategy.loss(TinyClassifier(pixels=3 * 14 * 14), changed)
    assert loss.total.isfinite()


def test_both_say_what_they_move_and_mix():
    recombined = InOrder(made("fda"), made("recombination"))
    assert (recombined.moves_bias, recombined.mixes_targets) == (True, False)
    mixed = InOrder(made("mixup"), made("fda"))
    assert (mixed.moves_bias, mixed.mixes_targets) == (False, True)
    assert [InOrder(made(name), made("fda")).changes_layers for name in ("padain", "fda")] == [1, 0]
    assert InOrder(made("fda"), Companions(part="background")).outdates_bias
    assert not InOrder(made("fda"), made("companions")).outdates_bias
    assert list(InOrder(made("mixup"), made("fda")).state_dict()) == []


THEN = ["augment.name=recombination", "augment.then.name=apr_p", "augment.then.probability=1"]


def test_a_config_names_them_in_order_and_their_requirements():
    config = configs.load("drawn_birds", [*THEN, "augment.then.then.name=lisa"])
    assert "-recombination-apr_p-lisa-" in configs.run_name(config)
    chosen = components.choose(config)
    assert [(part.name, part.options) for part in chosen.augment] == [
        ("recombination", {}), ("apr_p", {"probability": 1.0}), ("lisa", {}),
    ]  # fmt: skip
    assert set(chosen.requires) == set(components.requirements(config)) == {"mask", "bias"}


def test_configs_without_a_second_one_keep_their_names():
    one = configs.load("waterbirds", THEN[:1])
    assert one.augment == {"name": "recombination"}
    assert configs.identity(one) != configs.identity(configs.load("waterbirds", THEN))
    assert configs.run_name(one).startswith("waterbirds-erm-recombination-seed0-")


def test_another_name_drops_the_options_of_the_old_one():
    config = configs.load("waterbirds", THEN)
    again = configs.from_plain(configs.plain(config), ["augment.then.name=efdm"])
    assert again.augment == {"name": "recombination", "then": {"name": "efdm"}}
    same = configs.from_plain(configs.plain(config), ["augment.then.per_channel=true"])
    assert same.augment["then"] == {"name": "apr_p", "probability": 1, "per_channel": True}


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("augment.then.probability=1", r"^augment\.then\.name must be one name"),
        (
            "augment.then=apr_p",
            r"^augment\.then must be a section: write augment\.then\.name=apr_p",
        ),
    ],
)
def test_mistakes_are_named(override, message):
    with pytest.raises(ValueError, match=message):
        configs.load("waterbirds", ["augment.name=recombination", override])


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("augment.then.probabilty=1", r"^unknown option augment\.then\.probabilty; did you mean"),
        ("augment.then.probability=high", r"^augment\.then\.probability must be a number"),
        ("augment.then.name=apr", r"^unknown augment\.then\.name 'apr'; did you mean"),
        ("augment.then.then.name=apr", r"^unknown augment\.then\.then\.name 'apr'"),
    ],
)
def test_mistakes_in_later_ones_are_named_by_their_place(override, message):
    config = configs.load("drawn_birds", [*THEN, override])
    with pytest.raises(ValueError, match=message):
        components.choose(config)
    with pytest.raises(ValueError, match=message):
        _check_options(config, set())


def test_sweeps_take_several_and_recipes_name_them_all():
    config = configs.load("drawn_birds", [*THEN[:2], "augment.then.then.name=lisa"])
    _check_options(config, set())
    run = Run(replace(config, recipe={"name": "dfr"}), Path())
    with pytest.raises(ValueError, match=r"got augment\.name=\w+ augment\.then\.name=apr_p"):
        run.refuse_own("augment")
    with pytest.raises(ValueError, match=r"augment\.then\.then\.name=lisa\. Name others"):
        refuse_readers(run)


def test_strategies_of_views_refuse_augmentations_that_change_nothing():
    nothing, layers = made("none"), made("padain")
    for augment in (InOrder(nothing, nothing), InOrder(made("fda"), layers)):
        with pytest.raises(ValueError, match=r"^Consistency reads changed copies"):
            check_targets(Consistency(GROUPS), augment)
    check_targets(Consistency(GROUPS), InOrder(nothing, made("fda")))


def test_own_parts_are_known_at_every_place(monkeypatch):
    monkeypatch.setattr("debias.runs.circumstances.origin", lambda name: {"name": name})
    config = configs.load("waterbirds", ["augment.then.name=mine:Part"])
    assert origins(config) == [{"name": "mine:Part"}]
