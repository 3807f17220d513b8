"""Projection heads: what they compute, what the features of the model are, and their weights."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from debias import components, run_weights
from debias import config as configs
from debias.config import Config
from debias.heads.linear import Rows
from debias.merging import Settings
from debias.models.classifier import Classifier
from debias.models.copies import twin
from debias.models.last_layers import AdditiveEnergies
from debias.models.projection import ProjectedHead, Projection, Reweight
from debias.recipes import last_layer
from debias.recipes.bcsi import BCSI
from debias.recipes.last_layer import LastLayer
from debias.recipes.per_sample_gradient import PerSampleGradient
from debias.strategies.attribute_decorrelation import AttributeDecorrelation
from debias.strategies.context_cam import ContextCAM
from debias.types import ContextPair, Groups

KINDS = ("mlp", "reweight")
IMAGE = torch.linspace(-1, 1, 2 * 3 * 4 * 4).view(2, 3, 4, 4)


def made(projection: str = "none", **options: float) -> Classifier:
    torch.manual_seed(0)
    section = {"name": "layers", "layers": ["flatten", "linear 5", "relu"], "size": 4}
    section |= {"projection": projection, **options}
    found: Classifier = components.construct("model", section, {"outputs": 2})
    return found


def test_weights_of_features_fall_by_powers_and_so_do_gradients():
    head = Reweight(4, 2.0)
    features = torch.tensor([[3.0, 3.0, -4.0, 8.0]], requires_grad=True)
    assert head(features).tolist() == [[3.0, 1.5, -1.0, 1.0]]
    (found,) = torch.autograd.grad(head(features).sum(), features)
    assert found.tolist() == [[1.0, 0.5, 0.25, 0.125]]
    assert torch.equal(Reweight(4, 1.0)(features), features)
    assert not list(head.parameters())


def test_the_last_of_many_weights_underflow():
    """1.05^-2047 is 4.2e-44, a number that float32 holds with two digits; 1.06^-2047 is 0."""
    assert 4e-44 < Reweight(2048, 1.05).scales[-1].item() < 4.4e-44
    assert Reweight(2048, 1.06).scales[-1].item() == 0


@pytest.mark.parametrize("kind", KINDS)
def test_the_features_are_those_before_the_projection(kind):
    plain, projected = made(), made(kind)
    outputs = projected(IMAGE)
    assert torch.equal(outputs.features, plain(IMAGE).features)
    head = projected.head
    expected = head.linear(head.projection(outputs.features))
    assert torch.equal(outputs.logits, expected)
    assert not torch.equal(outputs.logits, plain(IMAGE).logits)
    assert (head.in_features, head.out_features) == (5, 2)


def test_an_mlp_has_two_linear_layers_with_a_relu_between_them():
    head = made("mlp").head
    first, _, second = head.projection
    z = torch.randn(3, 5)
    expected = second(first(z).clamp(min=0))
    assert torch.equal(head.projection(z), expected)
    assert {layer.weight.shape for layer in (first, second)} == {(5, 5)}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("other", ["none", "prototypes"])
def test_a_state_dict_says_whether_there_is_a_projection(kind, other):
    projected, plain = made(kind, kappa=3.0), made()
    if other == "prototypes":
        plain.head = AdditiveEnergies(torch.randn(4, 5), torch.zeros(2, 2))
    states = [{**model.state_dict()} for model in (projected, plain)]
    expected = [model(IMAGE).logits for model in (projected, plain)]
    projected.load_state_dict(states[1])
    plain.load_state_dict(states[0])
    assert torch.equal(projected(IMAGE).logits, expected[1])
    assert torch.equal(plain(IMAGE).logits, expected[0])
    assert not isinstance(projected.head, ProjectedHead)


@pytest.mark.parametrize("kind", KINDS)
def test_weights_keep_the_names_of_the_network(kind):
    model, again = made(kind), made(kind)
    nn.init.normal_(again.head.linear.weight)
    state = model.network_state_dict()
    assert "fc.linear.weight" in state
    again.load_network_state_dict(state)
    assert torch.equal(again(IMAGE).logits, model(IMAGE).logits)


def run_with(section: Settings, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a run of one epoch, with this section ``model``."""
    report = SimpleNamespace(selection=SimpleNamespace(epoch=0))
    for module in (run_weights, last_layer):
        monkeypatch.setattr(module, "read_report", lambda run: report)
    configs.save(Config(model=section), folder / "config.yaml")
    return folder


def test_a_run_starts_from_the_weights_of_one_whose_projection_was_removed(tmp_path, monkeypatch):
    stored, section = made(), {"name": "layers", "projection": "mlp"}
    run = run_with(section, tmp_path, monkeypatch)
    monkeypatch.setattr(run_weights, "run_weights", lambda run: stored.state_dict())
    fresh = made("mlp")
    nn.init.normal_(fresh.backbone.body[1].weight)
    head = fresh.head.linear.weight.clone()
    run_weights.start_from(run, fresh, section)
    assert torch.equal(fresh(IMAGE).features, stored(IMAGE).features)
    assert torch.equal(fresh.head.linear.weight, head)


def test_a_network_without_bias_starts_from_a_run_with_a_fitted_head(tmp_path, monkeypatch):
    stored, fresh = made(), made()
    run = run_with({"name": "layers"}, tmp_path, monkeypatch)
    monkeypatch.setattr(run_weights, "run_weights", lambda run: stored.state_dict())
    nn.init.normal_(stored.backbone.body[1].weight)
    fresh.head = nn.Linear(5, 2, bias=False)
    head = fresh.head.weight.clone()
    run_weights.start_from(run, fresh, {"name": "layers"})
    assert torch.equal(fresh(IMAGE).features, stored(IMAGE).features)
    assert torch.equal(fresh.head.weight, head)


def test_a_backbone_may_have_another_projection_and_no_other_option(tmp_path, monkeypatch):
    """The options of the run are those of its last stage."""
    run = run_with({"name": "layers"}, tmp_path, monkeypatch)
    section = {"name": "layers", "projection": "reweight", "kappa": 2.0, "pooling": "max"}
    configs.save(Config(model=section), run / configs.LAST_STAGE)
    stored, fresh = made("reweight", kappa=2.0), made()
    state = {f"model.{name}": value for name, value in stored.state_dict().items()}
    (run / "checkpoints").mkdir()
    torch.save({"state_dict": state}, run / "checkpoints" / "epoch=000.ckpt")
    parts: Any = SimpleNamespace(module=nn.ModuleDict({"model": fresh}))
    last_layer.load_model(parts, run, Config(model={"name": "layers", "pooling": "max"}))
    assert torch.equal(fresh(IMAGE).logits, stored(IMAGE).logits)
    with pytest.raises(ValueError, match=r"has model\.pooling=max; got model\.pooling=None: set"):
        last_layer.load_model(parts, run, Config(model={"name": "layers"}))


class Kept(LastLayer):
    """A recipe that keeps the head it starts from."""

    def fit(self, frozen: Any, seed: int) -> nn.Linear:
        linear: nn.Linear = frozen.model.head
        return linear


@pytest.mark.parametrize("kind", ["none", *KINDS])
def test_a_last_layer_recipe_removes_the_projection_and_starts_from_a_head_of_erm(
    kind, monkeypatch
):
    model, fitted = made(kind), nn.Linear(5, 2)
    rows = Rows(torch.randn(8, 5), torch.arange(8) % 2, torch.arange(8) % 2)
    stage = SimpleNamespace(examples=SimpleNamespace(groups=SimpleNamespace(rows=2)))
    config: Any = SimpleNamespace(seed=3)
    frozen = SimpleNamespace(model=model, stage=stage, config=config, rows=lambda split: rows)
    given = []
    monkeypatch.setattr(last_layer, "Frozen", lambda stage, config: frozen)
    monkeypatch.setattr(last_layer, "refitted", lambda run, frozen, head, seconds: head)
    monkeypatch.setattr(last_layer, "erm_head", lambda *given_: given.append(given_) or fitted)
    monkeypatch.setattr(Kept, "_config", lambda self, run: config)
    monkeypatch.setattr(Kept, "_stage", lambda self, run, config: stage)
    found: Any = Kept().train(SimpleNamespace(config=config))  # type: ignore[arg-type]
    if kind == "none":
        assert not given
        return
    assert found.in_features == model.feature_size == 5
    assert torch.equal(found.weight, fitted.weight)
    ((trained_on, classes, seed),) = given
    assert (sorted(trained_on.features.tolist()), classes, seed) == (
        sorted(rows.features.tolist()),
        2,
        3,
    )


def test_a_second_network_needs_a_linear_head():
    with pytest.raises(ValueError, match=r"Classifier without model\.projection"):
        twin(made("mlp"))


@pytest.mark.parametrize("recipe", [BCSI, PerSampleGradient])
def test_gradients_by_the_last_layer_need_a_linear_head(recipe):
    parts: Any = SimpleNamespace(module=SimpleNamespace(model=made("mlp")))
    with pytest.raises(
        ValueError, match=r"which recipe\.name=\w+ needs.* without model\.projection"
    ):
        recipe().check(parts, Config())


def test_strategies_that_read_the_weights_of_the_head_need_a_linear_one():
    labels = Groups(
        ("no a", "a", "no b", "b"), ("x",), multi_label=True, contexts=(ContextPair(0, 1),)
    )
    with pytest.raises(ValueError, match=r"which ContextCAM needs.* without model\.projection"):
        ContextCAM(labels, made("mlp"), IMAGE[:1])
    with pytest.raises(ValueError, match=r"which AttributeDecorrelation needs"):
        AttributeDecorrelation(labels).players(made("mlp"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"projection": "head"}, "model.projection must be one of none, mlp, reweight; got 'head'"),
        ({"kappa": 0.9}, "model.kappa must be at least 1; got 0.9"),
    ],
)
def test_refuses(options, message):
    with pytest.raises(ValueError, match=message):
        Projection(**options)
