"""What recipes on frozen features hand to the fitters: rows, and every given option."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from debias.data.orders import seeded_generator
from debias.heads.energies import fit_energies
from debias.heads.linear import Heads, fresh_heads, worst_group_accuracies
from debias.heads.orders import halves, shuffled_order
from debias.heads.prototypes import PrototypeDescent, fit_prototypes
from debias.heads.refits import balanced_heads, focal_heads
from debias.heads.reweighted import reweighted_heads
from debias.heads.shortcut_probe import ProbeSettings, shortcut_head
from debias.heads.sparse import sparse_head
from debias.recipes import afr, class_balanced_last_layer, gsr
from debias.recipes import self as self_recipe
from debias.recipes.afr import AFR
from debias.recipes.class_balanced_last_layer import ClassBalancedLastLayer
from debias.recipes.crm import CRM
from debias.recipes.crt import CRT
from debias.recipes.dfr import DFR
from debias.recipes.dpe import DPE
from debias.recipes.gsr import GSR
from debias.recipes.last_layer import portion_of
from debias.recipes.self import SELF
from debias.recipes.shortcut_probe import ShortcutProbe
from tests.heads.spurious_rows import SIZE
from tests.recipes.drawn_backbone import ROWS, DrawnBackbone

SEED = 3
Calls = list[tuple[tuple[Any, ...], dict[str, Any]]]
Noting = Callable[[Any, str], Calls]


@pytest.fixture
def backbone() -> DrawnBackbone:
    return DrawnBackbone(seed=SEED)


@pytest.fixture
def noting(monkeypatch: pytest.MonkeyPatch) -> Noting:
    """Lets a fitter of a module go on as it does, and notes what it is called with."""

    def note(module: Any, name: str) -> Calls:
        calls: Calls = []
        fitter = getattr(module, name)

        def noted(*given: Any, **options: Any) -> Any:
            calls.append((given, options))
            return fitter(*given, **options)

        monkeypatch.setattr(module, name, noted)
        return calls

    return note


def assert_is(found: nn.Linear, fitted: Heads, head: int = 0) -> None:
    assert torch.equal(found.weight, fitted.weights[head])
    assert torch.equal(found.bias, fitted.biases[head])


def of_split(backbone: DrawnBackbone, split: str) -> Tensor:
    return backbone.stage.examples.rows(split)


def test_afr_fits_the_head_on_the_rows_that_the_backbone_was_not_trained_on(
    backbone: DrawnBackbone, noting: Noting
) -> None:
    """A quarter of the 120 training rows, in their order, with classes; validation chooses."""
    calls = noting(afr, "focal_heads")
    AFR(gammas=[4.0], penalties=[0.0], steps=2, share=0.75).fit(backbone, SEED)
    [((features, target, _), options)] = calls
    unseen = of_split(backbone, "train")[~portion_of(120, backbone.config, 0.75)]
    assert len(unseen) == 30
    assert backbone.places(features).tolist() == unseen.tolist()
    assert torch.equal(target, backbone.stage.examples.target[unseen])
    assert (
        backbone.places(options["held_out"].features).tolist() == of_split(backbone, "val").tolist()
    )


@pytest.mark.parametrize(("learning_rate", "steps", "best"), [(0.01, 100, 3), (0.03, 300, 5)])
def test_afr_is_the_best_of_its_grid(
    backbone: DrawnBackbone, learning_rate: float, steps: int, best: int
) -> None:
    """All pairs of its gammas and penalties, from the backbone's head, at its rate and steps."""
    recipe = AFR(
        gammas=[1.0, 6.0],
        penalties=[0.3, 0.0, 0.1],
        steps=steps,
        learning_rate=learning_rate,
        share=0.5,
    )
    unseen = of_split(backbone, "train")[~portion_of(120, backbone.config, 0.5)]
    features, target, _ = backbone.at(unseen, groups=False)
    layer = backbone.model.head
    fitted = focal_heads(
        features, target, Heads(layer.weight.detach()[None], layer.bias.detach()[None]),
        gamma=torch.tensor([1.0, 1.0, 1.0, 6.0, 6.0, 6.0]),
        start_penalty=torch.tensor([0.3, 0.0, 0.1] * 2),
        held_out=backbone.at(of_split(backbone, "val"), groups=True), learning_rate=learning_rate,
        steps=steps,
    )  # fmt: skip
    assert fitted.best == best
    assert fitted.heads.weights.unique(dim=0).shape[0] == 6
    assert_is(recipe.fit(backbone, SEED), fitted.heads, best)


@pytest.mark.parametrize("subsamples", [2, 3])
@pytest.mark.parametrize("split", ["val", "train"])
def test_dfr_fits_groups_of_its_split(backbone: DrawnBackbone, split: str, subsamples: int) -> None:
    """Validation rows by themselves; of the training split, with validation to choose C on."""
    rows = backbone.at(of_split(backbone, split), groups=True)
    held_out = backbone.at(of_split(backbone, "val"), groups=True) if split == "train" else None
    fitted = sparse_head(
        rows, seeded_generator(SEED), classes=2, held_out=held_out, subsamples=subsamples
    )
    assert fitted.subsamples.shape[0] == subsamples
    assert_is(DFR(split=split, subsamples=subsamples).fit(backbone, SEED), fitted.head)


def test_gsr_fits_rows_that_the_backbone_was_not_trained_on(
    backbone: DrawnBackbone, noting: Noting
) -> None:
    """A quarter of training; one half of every group of validation guides, the other judges."""
    calls = noting(gsr, "reweighted_heads")
    recipe = GSR(share=0.75, rounds=3, penalty=0.02, step=0.5)
    found = recipe.fit(backbone, SEED)
    [((features, target, guiding, judged), options)] = calls
    unseen = of_split(backbone, "train")[~portion_of(120, backbone.config, 0.75)]
    assert backbone.places(features).tolist() == unseen.tolist()
    assert torch.equal(target, backbone.stage.examples.target[unseen])
    parts_of_val = [backbone.places(one.features) for one in (guiding, judged)]
    assert sorted(torch.cat(parts_of_val).tolist()) == of_split(backbone, "val").tolist()
    counts = [torch.bincount(one.group, minlength=4) for one in (guiding, judged)]
    assert set((counts[0] - counts[1]).tolist()) <= {0, 1}
    assert torch.equal(judged.group, backbone.at(parts_of_val[1], groups=True).group)
    assert options == {"classes": 2, "penalty": 0.02, "step": 0.5, "rounds": 3}
    assert_is(found, reweighted_heads(features, target, guiding, judged, **options).heads)
    assert recipe.choice is not None
    assert recipe.choice.on == "half of val"
    GSR(share=0.99).check(backbone.stage.parts, backbone.config)  # 119 of 120
    with pytest.raises(ValueError, match=r"must leave .* got 0\.999 of 120 images"):
        GSR(share=0.999).check(backbone.stage.parts, backbone.config)


@pytest.mark.parametrize(("balance", "keep"), [("class", "best"), ("group", "last")])
def test_dpe_balances_and_keeps_what_it_says(
    backbone: DrawnBackbone, balance: str, keep: str
) -> None:
    """All validation rows, by class or group; the groups of validation select the epochs."""
    val = of_split(backbone, "val")
    judged = backbone.at(val, groups=True)
    fitted = fit_prototypes(
        backbone.at(val, groups=balance == "group"), seeded_generator(SEED), classes=2, members=2,
        epochs=4, batch_size=8, held_out=judged if keep == "best" else None,
        descent=PrototypeDescent(0.01, entropic_scale=5.0, norm_penalty=2.0, diversity=30.0),
    )  # fmt: skip
    recipe = DPE(
        balance=balance, keep=keep, members=2, epochs=4, batch_size=8, learning_rate=0.01,
        entropic_scale=5.0, norm_penalty=2.0, diversity=30.0,
    )  # fmt: skip
    found = recipe.fit(backbone, SEED).state_dict()
    assert torch.equal(found["prototypes"], fitted.prototypes[0])
    assert torch.equal(found["scales"], fitted.scales[0])
    assert recipe.reads == (("val",) if balance == "group" else ())


def test_crm_fits_training_rows_of_known_bias_and_chooses_its_weight_decay(
    backbone: DrawnBackbone,
) -> None:
    """One group is empty, and every fifth row has no bias label. Validation chooses."""
    train, val = of_split(backbone, "train"), of_split(backbone, "val")
    rows = backbone.at(train, groups=True)
    bias = torch.where(torch.arange(120) % 5 == 0, -1, rows.group - 2 * rows.target)
    bias[rows.group == 2] = -1
    backbone.with_bias("train", bias)
    recipe = CRM(weight_decays=[0.0, 0.3, 3.0], steps=30, batch_size=16, learning_rate=0.05)
    recipe.check(backbone.stage.parts, backbone.config)
    found = recipe.fit(backbone, SEED)
    generator, known = seeded_generator(SEED), (bias >= 0).nonzero().flatten()
    start = fresh_heads(1, classes=4, size=SIZE, generator=generator).weights
    order = shuffled_order(len(known), batch_size=16, steps=30, generator=generator)
    fitted = fit_energies(
        rows.features, rows.target, bias, start=start, classes=2, batches=known[order],
        learning_rate=0.05, weight_decay=torch.tensor([0.0, 0.3, 3.0]),
    )  # fmt: skip
    held_out = backbone.at(val, groups=True)
    predictions = torch.stack([fitted.head(h)(held_out.features).argmax(1) for h in range(3)])
    scores = worst_group_accuracies(predictions, held_out.target, held_out.group)
    best = int(scores.argmax())
    assert scores[best] > scores.min()
    assert all(map(torch.equal, found.parameters(), fitted.head(best).parameters()))
    assert recipe.choice is not None
    assert torch.equal(recipe.choice.scores, scores)
    backbone.with_bias("train", torch.where(bias == 0, -1, bias))
    with pytest.raises(ValueError, match="got none of bias value 0"):
        recipe.check(backbone.stage.parts, backbone.config)


def test_shortcut_probe_fits_on_one_half_of_each_group_and_selects_on_the_other(
    backbone: DrawnBackbone,
) -> None:
    options: dict[str, Any] = {
        "size": 3,
        "confident": 0.2,
        "length": 1.0,
        "unfit": 2.0,
        "epochs": 2,
    }
    options |= {"basis_rate": 0.1, "learning_rate": 0.2, "weight_decay": 0.3, "batch_size": 8}
    rows = backbone.at(of_split(backbone, "val"), groups=True)
    generator, layer = seeded_generator(SEED), backbone.model.head
    half, other = (rows.take(part) for part in halves(rows.group, generator))
    start = Heads(layer.weight.detach()[None], layer.bias.detach()[None])
    settings = ProbeSettings(**options)
    fitted = shortcut_head(half, other, start, generator, settings=settings)
    assert_is(ShortcutProbe(**options).fit(backbone, SEED), fitted.heads)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("balance", ["group", "class"])
def test_crt_balances_what_it_says_as_it_says(
    backbone: DrawnBackbone, balance: str, weighted: bool
) -> None:
    """All training rows, from a fresh head; every second of 250 steps is judged, at most 100."""
    rows = backbone.at(of_split(backbone, "train"), groups=balance == "group")
    generator = seeded_generator(SEED)
    start = fresh_heads(1, classes=2, size=SIZE, generator=generator)
    fitted = balanced_heads(
        *rows, start, generator, steps=250, every=2, learning_rate=3e-4, weighted=weighted,
        held_out=backbone.at(of_split(backbone, "val"), groups=True),
    )  # fmt: skip
    recipe = CRT(balance=balance, weighted=weighted, steps=250, learning_rate=3e-4)
    assert_is(recipe.fit(backbone, SEED), fitted.heads)


def test_the_class_balanced_head_sees_half_of_each_class_of_validation(
    backbone: DrawnBackbone, noting: Noting
) -> None:
    """For 3 passes in batches of 7, at its rate, no momentum; the other half does not choose."""
    calls = noting(class_balanced_last_layer, "balanced_heads")
    ClassBalancedLastLayer(epochs=3, learning_rate=0.04, batch_size=7).fit(backbone, SEED)
    [((features, target, label, start, _), options)] = calls
    rows, classes = backbone.places(features), backbone.stage.examples.target
    assert len(set(rows.tolist())) == len(rows)
    assert set(rows.tolist()) <= set(of_split(backbone, "val").tolist())
    counts = torch.bincount(classes[of_split(backbone, "val")])
    assert torch.bincount(classes[rows]).tolist() == [-(-count // 2) for count in counts.tolist()]
    assert torch.equal(target, classes[rows])
    assert torch.equal(label, target)
    assert not torch.equal(start.weights[0], backbone.model.head.weight)
    steps = 3 * -(-len(rows) // 7)
    assert options == {"steps": steps, "learning_rate": 0.04, "momentum": 0.0, "batch_size": 7}


def test_self_chooses_on_the_half_that_it_does_not_fit_on(
    backbone: DrawnBackbone, noting: Noting
) -> None:
    """The two make up validation, each with half of every group; too large a count is left out."""
    calls = noting(self_recipe, "selected_heads")
    SELF(counts=[5, 20, 500], learning_rates=[1e-3, 0.1], batch_size=4).fit(backbone, SEED)
    assert [len(given[2]) for given, _ in calls] == [5, 20]
    for (features, target, chosen), options in calls:
        fitted, held_out = backbone.places(features), options["held_out"]
        other = backbone.places(held_out.features)
        assert sorted([*fitted.tolist(), *other.tolist()]) == of_split(backbone, "val").tolist()
        group = [
            torch.bincount(backbone.at(rows, groups=True).group, minlength=4)
            for rows in (fitted, other)
        ]
        assert set((group[0] - group[1]).tolist()) <= {0, 1}
        assert len(chosen.unique()) == len(chosen)
        assert torch.equal(target, backbone.stage.examples.target[fitted])
        assert torch.equal(held_out.group, backbone.at(other, groups=True).group)
        assert torch.equal(options["learning_rate"], torch.tensor([1e-3, 0.1]))
        assert options["batch_size"] == 4
        assert torch.equal(options["start"].weights[0], backbone.model.head.weight)
    assert sum(ROWS.values()) == len(backbone.everywhere)
