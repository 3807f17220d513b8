"""Heads that are not linear, and what a classifier does with them."""

import copy
import math

import pytest
import timm
import torch
from torch import nn

from debias import components
from debias.heads.linear import repeated
from debias.models.classifier import Classifier
from debias.models.last_layers import (
    AdditiveEnergies,
    ConceptHead,
    FittedHead,
    OneLogit,
    PrototypeEnsemble,
    TextHead,
    centred_directions,
    linear_layer,
    prototype_logits,
)

EYE = torch.eye(4, dtype=torch.float64)


def drawn(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(3), dtype=torch.float64)


@pytest.mark.parametrize("scale", [1.5, -1.5])
def test_logits_are_negative_distances_on_the_sphere(scale: float) -> None:
    """Parallel: exactly 0. Orthogonal: -sqrt(2) |s|. Opposite: -2 |s|."""
    prototypes = torch.stack([3 * EYE[0], EYE[1], -0.2 * EYE[0]])[None]
    found = prototype_logits(EYE[:1], prototypes, torch.tensor([scale], dtype=torch.float64))
    assert found[0, 0].tolist() == pytest.approx([0.0, -math.sqrt(2) * 1.5, -3.0], abs=1e-15)
    assert found[0, 0, 0] == 0


def test_the_norm_of_a_prototype_does_not_matter() -> None:
    directions, prototypes, scales = centred_directions(drawn(7, 5)), drawn(2, 3, 5), drawn(2)
    found = prototype_logits(directions, prototypes * torch.tensor([[[0.1], [1.0], [7.0]]]), scales)
    torch.testing.assert_close(found, prototype_logits(directions, prototypes, scales))


def test_distance_0_has_a_gradient_of_0() -> None:
    prototypes = EYE[None, :2].clone().requires_grad_()
    prototype_logits(EYE[:1], prototypes, torch.ones(1).double())[0, 0, 0].backward()
    assert prototypes.grad is not None
    assert torch.equal(prototypes.grad, torch.zeros_like(prototypes))


def test_features_are_standardised_one_by_one() -> None:
    """The direction is that of (z - mean) / std, whatever the scale and shift of a vector."""
    features = drawn(6, 5)
    centred = features - features.mean(dim=1, keepdim=True)
    standard = centred / features.std(dim=1, keepdim=True)
    expected = standard / standard.norm(dim=1, keepdim=True)
    torch.testing.assert_close(centred_directions(features), expected)
    torch.testing.assert_close(centred_directions(9 * features + 4), expected)


def test_the_ensemble_is_the_mean_of_probabilities() -> None:
    prototypes, scales, features = drawn(3, 2, 5), drawn(3), drawn(6, 5)
    logits = prototype_logits(centred_directions(features), prototypes, scales)
    found = PrototypeEnsemble(prototypes, scales)(features)
    torch.testing.assert_close(found.exp(), logits.softmax(dim=2).mean(dim=0))


def test_additive_energies_sum_over_the_bias() -> None:
    """Two classes and three bias values, by hand."""
    weights, offsets, features = drawn(5, 4), drawn(2, 3), drawn(6, 4)
    energies = (features @ weights[:2].T)[:, :, None] + (features @ weights[2:].T)[:, None]
    cells = (-energies - offsets).exp()
    expected = cells.sum(dim=2) / cells.sum(dim=(1, 2))[:, None]
    found = AdditiveEnergies(weights, offsets)
    torch.testing.assert_close(found(features).exp(), expected)
    assert (found.in_features, found.out_features) == (4, 2)


def test_the_bottleneck_reads_concepts_alone() -> None:
    """By hand; the length of the features does not matter, and no class is reached past them."""
    concepts, offsets, weights, biases = drawn(3, 4), drawn(3), drawn(2, 3), drawn(2)
    features = drawn(6, 4)
    unit = features / features.square().sum(dim=1, keepdim=True).sqrt()
    shown = 1 / (1 + (-(unit @ concepts.T + offsets)).exp())
    head = ConceptHead(concepts, offsets, weights, biases)
    torch.testing.assert_close(head(features), shown @ weights.T + biases)
    torch.testing.assert_close(head(7 * features), head(features))
    assert (head.in_features, head.out_features) == (4, 2)


def test_texts_are_compared_by_their_angle() -> None:
    """Parallel, at 60 degrees and opposite, whatever the norms."""
    slanted = torch.tensor([0.5, 0.75**0.5, 0, 0]).double()
    head = TextHead(torch.stack([3 * EYE[0], slanted, -0.1 * EYE[0]]), torch.tensor(100.0).double())
    found = head(torch.stack([EYE[0], 20 * EYE[0], EYE[3]]))
    expected = [[100, 50, -100], [100, 50, -100], [0, 0, 0]]
    torch.testing.assert_close(found, torch.tensor(expected).double())
    assert (head.in_features, head.out_features) == (4, 3)


def heads() -> list[FittedHead]:
    return [
        PrototypeEnsemble(drawn(3, 2, 96).float(), drawn(3).float()),
        AdditiveEnergies(drawn(5, 96).float(), drawn(2, 3).float()),
        ConceptHead(*(drawn(*size).float() for size in ((3, 96), (3,), (2, 3), (2,)))),
        TextHead(drawn(2, 96).float(), torch.tensor(7.0)),
    ]


def classifier(outputs: int = 2) -> Classifier:
    return Classifier(timm.create_model("test_resnet", num_classes=outputs)).eval()


@pytest.mark.parametrize("kind", [0, 1, 2])
def test_a_state_dict_brings_its_head(kind: int) -> None:
    """Into a classifier, a copy of it, and one inside another module; a linear one stays linear."""
    trained = classifier()
    trained.head = heads()[kind]
    image = drawn(2, 3, 32, 32).float()
    state = copy.deepcopy(trained.state_dict())
    for other in (classifier(), copy.deepcopy(classifier())):
        outer = nn.ModuleDict({"model": other})
        outer.load_state_dict({f"model.{name}": value for name, value in state.items()})
        assert torch.equal(outer["model"](image).logits, trained(image).logits)
        assert (other.head.in_features, other.head.out_features) == (96, 2)
    plain = classifier()
    plain.load_state_dict(classifier().state_dict())
    assert isinstance(plain.head, nn.Linear)
    with pytest.raises(RuntimeError, match="head"):
        plain.load_state_dict(
            {key: state[key] for key in state if not key.endswith(("scales", "offsets", "scale"))}
        )


def test_a_new_ensemble_is_another_one() -> None:
    """As the randomisation of maps draws it."""
    head = PrototypeEnsemble(torch.zeros(3, 2, 96), torch.zeros(3))
    head.reset_parameters()
    assert float(head.prototypes.detach().std()) == pytest.approx(1 / math.sqrt(96), rel=0.2)


def test_a_single_logit_as_two():
    """The linear layer has the same logits, and its state dict replaces the single logit."""
    single = OneLogit(3)
    features = torch.randn(5, 3, generator=torch.Generator().manual_seed(0))
    two = linear_layer(single)
    torch.testing.assert_close(two(features), single(features))
    torch.testing.assert_close(repeated(single, count=2).logits(features)[1], single(features))
    assert linear_layer(two) is two
    options = {"layers": ["flatten"], "size": 1, "one_logit": True}
    model = components.construct("model", {"name": "layers", **options}, {"outputs": 2})
    state = model.state_dict() | {"head.weight": two.weight, "head.bias": two.bias}
    model.load_state_dict(state)
    torch.testing.assert_close(model(features[..., None, None]).logits, single(features))


def test_a_fitted_head_has_a_bias_where_the_network_has_none():
    network = nn.Sequential(nn.Flatten(), nn.Linear(3, 2, bias=False))
    model, fitted = Classifier.wrap(network, "1"), nn.Linear(3, 2)
    state = model.state_dict() | {"head.weight": fitted.weight, "head.bias": fitted.bias}
    model.load_state_dict(state)
    features = torch.randn(5, 3, generator=torch.Generator().manual_seed(0))
    assert torch.equal(model(features).logits, fitted(features))
