"""Which labels heads on frozen features see: those of groups only where these select."""

from typing import Any

import pytest
import torch

from debias.data.orders import seeded_generator
from debias.metrics.selection import RULES
from debias.recipes.afr import AFR
from debias.recipes.class_balanced_last_layer import ClassBalancedLastLayer
from debias.recipes.crm import CRM
from debias.recipes.crt import CRT
from debias.recipes.dfr import DFR
from debias.recipes.dpe import DPE
from debias.recipes.last_layer import LastLayer
from debias.recipes.self import SELF
from tests.recipes.drawn_backbone import ROWS, DrawnBackbone

RECIPES: dict[str, LastLayer] = {
    "dfr": DFR(split="train", subsamples=1),
    "afr": AFR(gammas=[0.0, 4.0, 12.0], penalties=[0.0], steps=100, learning_rate=0.1),
    "crt": CRT(balance="class", steps=200, learning_rate=0.01),
    "class_balanced_last_layer": ClassBalancedLastLayer(epochs=1),
    "crm": CRM(weight_decays=[0.0, 1.0, 3.0], steps=60, learning_rate=0.03),
    "dpe": DPE(members=2, epochs=12, batch_size=8),
    "self": SELF(counts=[10, 20, 30], learning_rates=[1e-3, 1e-2, 1e-1]),
}
#: Those that choose on validation.
CHOOSING = ("dfr", "afr", "crt", "self", "dpe", "crm")


@pytest.mark.parametrize("select", RULES)
def test_groups_are_those_of_the_data_only_of_validation_and_only_where_the_rule_reads_them(
    select: str,
) -> None:
    backbone = DrawnBackbone(select=select)
    for split in ROWS:
        found, all_of_it = backbone.rows(split), backbone.stage.examples.rows(split)
        expected = backbone.at(
            all_of_it, groups=split == "val" and select in ("worst_group", "balanced")
        )
        assert len(found.target) == ROWS[split]
        assert all(torch.equal(*pair) for pair in zip(found, expected, strict=True))
        assert torch.equal(
            backbone.labelled(split).group, backbone.at(all_of_it, groups=True).group
        )


def test_auto_selection_reads_the_groups_that_are_known() -> None:
    """Without any, heads are judged by class, and no group of -1 is made of the unknown."""
    backbone = DrawnBackbone(select="auto")
    every = backbone.stage.examples.rows("val")
    assert torch.equal(backbone.rows("val").group, backbone.at(every, groups=True).group)
    backbone.with_bias("val", torch.full((len(every),), -1))
    assert torch.equal(backbone.rows("val").group, backbone.at(every, groups=False).group)


def head_under(recipe: LastLayer, select: str, *, permuted: bool) -> Any:
    """The head that a recipe fits, of validation biases as they are or in another order."""
    backbone = DrawnBackbone(select=select)
    if permuted:
        bias = backbone.stage.examples.bias[backbone.stage.examples.rows("val")]
        backbone.with_bias("val", bias[torch.randperm(len(bias), generator=seeded_generator(1))])
    return recipe.fit(backbone, 0)


@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.parametrize("select", ["average", "worst_class"])
def test_validation_biases_do_not_move_a_head_that_is_selected_without_groups(
    name: str, select: str
) -> None:
    one, other = (
        head_under(RECIPES[name], select, permuted=permuted) for permuted in (False, True)
    )
    assert all(map(torch.equal, one.parameters(), other.parameters()))


@pytest.mark.parametrize("name", CHOOSING)
def test_they_move_one_that_is_selected_by_groups(name: str) -> None:
    """So that the test above tells the two apart."""
    one, other = (
        head_under(RECIPES[name], "worst_group", permuted=permuted) for permuted in (False, True)
    )
    assert not all(map(torch.equal, one.parameters(), other.parameters()))
