"""Losses on features of the scale of real networks: none is numerically nothing by default."""

import inspect
from collections.abc import Callable
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from debias.losses.flac import flac_loss
from debias.strategies.bias_contrastive import BiasContrastive
from debias.strategies.coral import CORAL
from debias.strategies.correct_n_contrast import CorrectNContrast
from debias.strategies.end import EnD
from debias.strategies.equivariant import Equivariant
from debias.strategies.fair_regularised import FairRegularised
from debias.strategies.flac import FLAC
from debias.strategies.irm import IRM
from debias.strategies.mmd import MMD
from debias.strategies.rebias import ReBias
from debias.strategies.soft_contrastive import SoftContrastive
from debias.strategies.spectral_decoupling import SpectralDecoupling
from debias.strategies.strategy import Strategy
from debias.strategies.vrex import VREx
from debias.training.terms import IdleTerms
from debias.types import Batch, Loss, Outputs
from tests.fakes import GROUPS

SAMPLES = 32
#: Width, mean norm and whether features are not negative: as behind the pooling of each network,
#: with ImageNet weights.
NETWORKS = {
    "efficientnet": (1280, 15.0, True),
    "resnet50": (2048, 25.0, True),
    "vit": (768, 40.0, False),
}


class AtTheHead(nn.Module):
    """Features that are parameters, under a new head: a network's last step."""

    def __init__(self, features: Tensor) -> None:
        super().__init__()
        self.features = nn.Parameter(features)
        self.head = nn.Linear(features.shape[1], 2).double()

    def forward(self, image: Tensor) -> Outputs:
        return Outputs(self.head(self.features), self.features)


def at_the_head(network: str) -> tuple[AtTheHead, Batch]:
    """Features in which the class shows and the bias shows more, and images that show the bias."""
    width, norm, positive = NETWORKS[network]
    torch.manual_seed(0)
    target, bias = torch.arange(SAMPLES) % 2, torch.arange(SAMPLES) // 2 % 2
    shown = 0.3 * target[:, None] * torch.randn(width) + 0.6 * bias[:, None] * torch.randn(width)
    features = torch.randn(SAMPLES, width).double() + shown
    features = features.relu() if positive else features
    image = torch.randn(SAMPLES, 3, 8, 8) + bias.view(-1, 1, 1, 1)
    model = AtTheHead(features * norm / features.norm(dim=1).mean())
    return model, Batch(image, target, bias, torch.arange(SAMPLES))


def of_strategy(
    make: Callable[[], Strategy], task_weight: float = 1.0
) -> Callable[[AtTheHead, Batch], Tensor]:
    """The loss of the model's turn at the first step, without the task's part."""

    def term(model: AtTheHead, batch: Batch) -> Tensor:
        strategy = make()
        for turn in strategy.turns(0):
            total = turn.objective(model, batch).total
        return total - task_weight * F.cross_entropy(model(batch.image).logits, batch.target)

    return term


def flac(model: AtTheHead, batch: Batch) -> Tensor:
    strength: float = inspect.signature(FLAC).parameters["strength"].default
    biases = F.one_hot(batch.bias, 2).double()
    return strength * flac_loss(F.normalize(model.features, dim=1), biases, batch.target)


def equivariant(model: AtTheHead, batch: Batch) -> Tensor:
    strategy = Equivariant(GROUPS, SimpleNamespace(feature_size=model.features.shape[1]))  # type: ignore[arg-type]
    outputs = model(batch.image)
    return strategy.loss(model, batch).total - F.cross_entropy(outputs.logits, batch.target)


TERMS = {
    "equivariant": equivariant,
    "rebias": of_strategy(lambda: ReBias(GROUPS)),
    "mmd": of_strategy(lambda: MMD(GROUPS)),
    "mmd, within classes": of_strategy(lambda: MMD(GROUPS, conditional=True)),
    "mmd, unbiased": of_strategy(lambda: MMD(GROUPS, unbiased=True)),
    "coral": of_strategy(lambda: CORAL(GROUPS)),
    "coral, within classes": of_strategy(lambda: CORAL(GROUPS, conditional=True)),
    "coral, as in the paper": of_strategy(lambda: CORAL(GROUPS, form="paper")),
    "bias_contrastive": of_strategy(
        lambda: BiasContrastive(GROUPS, torch.tensor([8, 8, 8, 8])), task_weight=0.01
    ),
    "soft_contrastive": of_strategy(lambda: SoftContrastive(GROUPS), task_weight=0.01),
    "correct_n_contrast": of_strategy(lambda: CorrectNContrast(GROUPS), task_weight=0.25),
    "end, disentangling": of_strategy(lambda: EnD(GROUPS, entangling=0.0)),
    "end, entangling": of_strategy(lambda: EnD(GROUPS, disentangling=0.0)),
    "flac": flac,
    "equalized_odds": of_strategy(lambda: FairRegularised(GROUPS, criterion="equalized_odds")),
    "demographic_parity": of_strategy(
        lambda: FairRegularised(GROUPS, criterion="demographic_parity")
    ),
    "equal_opportunity": of_strategy(
        lambda: FairRegularised(GROUPS, criterion="equal_opportunity")
    ),
    "irm": of_strategy(lambda: IRM(GROUPS)),
    "vrex": of_strategy(lambda: VREx(GROUPS)),
    "spectral_decoupling": of_strategy(lambda: SpectralDecoupling(GROUPS)),
}


def share(term: Callable[[AtTheHead, Batch], Tensor], network: str) -> float:
    """Norm of the term's gradient by the features, relative to that of the cross-entropy."""
    model, batch = at_the_head(network)
    error = F.cross_entropy(model(batch.image).logits, batch.target)
    norms = [
        torch.autograd.grad(value, model.features)[0].norm()
        for value in (term(model, batch), error)
    ]
    return (norms[0] / norms[1]).item()


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("name", TERMS)
def test_by_its_defaults_no_term_is_nothing(name, network):
    """More than 1e-6 of cross-entropy's gradient, but not so much that nothing else is learnt."""
    assert 1e-6 < share(TERMS[name], network) < 1e3


@pytest.mark.parametrize("network", NETWORKS)
def test_a_bandwidth_of_one_is_nothing_on_features_of_real_networks(network):
    """Squared distances are some hundreds: exp(-100) of a kernel. The warning tells of it; by the
    median none comes.
    """
    assert share(of_strategy(lambda: ReBias(GROUPS, bandwidth="fixed")), network) < 1e-12
    model, batch = at_the_head(network)
    with pytest.warns(
        UserWarning,
        match=r"numerically zero .*: biased_hsic \(mean .*, weight 1\), hsic \(mean ",
    ):
        watched(ReBias(GROUPS, bandwidth="fixed"), model, batch)
    watched(ReBias(GROUPS), model, batch)


def watched(strategy: Strategy, model: nn.Module, batch: Batch) -> None:
    """What training does with the terms of an epoch of one step."""
    terms, means = IdleTerms(), {}
    for turn in strategy.turns(0):
        loss: Loss = turn.objective(model, batch)
        terms.note(loss)
        means |= {name: value.item() for name, value in loss.terms.items() if value.ndim == 0}
    terms.check(means)


@pytest.mark.parametrize(
    "strategy",
    [MMD(GROUPS, strength=0.0), ReBias(GROUPS, bandwidth="fixed", lambda_f=0.0, lambda_g=0.0)],
)
def test_terms_without_weight_may_be_nothing(strategy):
    """Warnings are errors here. The batch has one bias, so that there is no pair to compare."""
    model, batch = at_the_head("vit")
    watched(strategy, model, batch._replace(bias=torch.zeros_like(batch.bias)))


def test_batches_of_one_environment_are_told():
    model, batch = at_the_head("vit")
    with pytest.warns(UserWarning, match=r"feature_distance \(mean 0, weight 1\)"):
        watched(MMD(GROUPS), model, batch._replace(bias=torch.zeros_like(batch.bias)))
