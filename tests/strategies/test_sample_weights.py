"""A weight per sample multiplies the model's classification loss, and nothing else of any strategy
that adds to it.
"""

from collections.abc import Callable
from typing import NamedTuple

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from debias.strategies.badd import BAdd
from debias.strategies.bias_amplification import BiasAmplification
from debias.strategies.bias_contrastive import BiasContrastive
from debias.strategies.coral import CORAL
from debias.strategies.correct_n_contrast import CorrectNContrast
from debias.strategies.end import EnD
from debias.strategies.fair_regularised import FairRegularised
from debias.strategies.feature_adversary import FeatureAdversary
from debias.strategies.feature_sieve import FeatureSieve
from debias.strategies.flac import FLAC
from debias.strategies.gradient_projection import GradientProjection
from debias.strategies.input_adversary import InputAdversary
from debias.strategies.learned_mixin import LearnedMixin
from debias.strategies.mmd import MMD
from debias.strategies.rebias import ReBias
from debias.strategies.rubi import RUBi
from debias.strategies.soft_contrastive import SoftContrastive
from debias.strategies.strategy import Strategy
from debias.strategies.uniform_confusion import UniformConfusion
from debias.types import Outputs
from tests.fakes import GROUPS, batch_of

BATCH = batch_of(8, side=16)
IMAGE = BATCH.image[:1]
COUNTS = torch.tensor([40, 10, 10, 40])
#: Terms that are the task's own; no other may change.
TASK = {"cross_entropy", "head_cross_entropy", "main", "auxiliary"}


class SmallConvolution(nn.Module):
    """Pixels to five maps to their means to logits."""

    feature_size = 5

    def __init__(self) -> None:
        super().__init__()
        self.early, self.head = nn.Conv2d(3, 5, 3, padding=1), nn.Linear(5, 2)

    def forward(self, image: Tensor) -> Outputs:
        features = self.early(image).tanh().mean(dim=(2, 3))
        return Outputs(self.head(features), features)


class Case(NamedTuple):
    """A strategy, an objective that classifies, the logits that are classified, the share of that
    in the loss.
    """

    make: Callable[[SmallConvolution], Strategy]
    objective: str = "loss"
    logits: Callable[[Strategy, SmallConvolution], list[Tensor]] = lambda strategy, model: [
        model(BATCH.image).logits
    ]
    share: float = 1.0


def masked(strategy: Strategy, model: SmallConvolution) -> list[Tensor]:
    return [model(strategy.mask(BATCH.image) * BATCH.image).logits]


def sieved(strategy: Strategy, model: SmallConvolution) -> list[Tensor]:
    return [model(BATCH.image).logits, *auxiliary(strategy, model)]


def auxiliary(strategy: Strategy, model: SmallConvolution) -> list[Tensor]:
    return [strategy.auxiliary(model.early(BATCH.image))]


def with_the_bias_added(strategy: Strategy, model: SmallConvolution) -> list[Tensor]:
    return [model.head(model(BATCH.image).features + 3.0 * strategy.network(BATCH.image).features)]


def fused_and_alone(strategy: Strategy, model: SmallConvolution) -> list[Tensor]:
    """RUBi classifies twice in the model's turn: with masked logits, and with the mask."""
    mask = strategy.head(strategy.network(BATCH.image).features)
    return [model(BATCH.image).logits * mask.sigmoid(), mask]


def ensemble(strategy: Strategy, model: SmallConvolution) -> list[Tensor]:
    f = model(BATCH.image)
    log_p = strategy.network.eval()(BATCH.image).logits.log_softmax(dim=1)
    return [f.logits + torch.log1p(strategy.trust(f.features).exp()) * log_p]


def amplifying(model: SmallConvolution) -> BiasAmplification:
    strategy = BiasAmplification(GROUPS, 8, strength=4.0)
    nn.init.normal_(strategy.offsets)
    return strategy


def offset(strategy: Strategy, model: SmallConvolution) -> list[Tensor]:
    return [model(BATCH.image).logits + 4 * strategy.offsets]


CASES = {
    "feature_adversary": Case(lambda model: FeatureAdversary(GROUPS, model, IMAGE, hidden_size=4)),
    "uniform_confusion": Case(lambda model: UniformConfusion(GROUPS, model, IMAGE), "confuse"),
    "input_adversary": Case(
        lambda model: InputAdversary(GROUPS, model, IMAGE, width=2, depth=2), "loss", masked
    ),
    "gradient_projection": Case(lambda model: GradientProjection(GROUPS)),
    "feature_sieve": Case(
        lambda model: FeatureSieve(GROUPS, model, IMAGE, layer="early", width=4, main_weight=0.5),
        "train_model",
        share=0.5,
    ),
    "feature_sieve_auxiliary": Case(
        lambda model: FeatureSieve(GROUPS, model, IMAGE, layer="early", width=4),
        "identify",
        auxiliary,
    ),
    "feature_sieve_joint": Case(
        lambda model: FeatureSieve(GROUPS, model, IMAGE, layer="early", width=4, joint=True),
        "joint",
        sieved,
    ),
    "end": Case(lambda model: EnD(GROUPS)),
    "bias_contrastive": Case(
        lambda model: BiasContrastive(GROUPS, COUNTS, task_weight=0.5), share=0.5
    ),
    "soft_contrastive": Case(
        lambda model: SoftContrastive(GROUPS, task_weight=0.5), "model_loss", share=0.5
    ),
    "correct_n_contrast": Case(lambda model: CorrectNContrast(GROUPS), share=0.25),
    "fairness": Case(lambda model: FairRegularised(GROUPS)),
    "coral": Case(lambda model: CORAL(GROUPS)),
    "mmd": Case(lambda model: MMD(GROUPS)),
    "flac": Case(
        lambda model: FLAC(GROUPS, COUNTS, model, strength=1.0, task_weight=0.5),
        "model_loss",
        share=0.5,
    ),
    "badd": Case(
        lambda model: BAdd(GROUPS, model, strength=3.0), "model_loss", with_the_bias_added
    ),
    "badd_head": Case(lambda model: BAdd(GROUPS, model), "head_loss"),
    "rubi": Case(lambda model: RUBi(GROUPS), "model_loss", fused_and_alone),
    "learned_mixin": Case(lambda model: LearnedMixin(GROUPS, model), "model_loss", ensemble),
    "rebias": Case(lambda model: ReBias(GROUPS), "model_loss"),
    "bias_amplification": Case(amplifying, "loss", offset),
}
#: What trains an adversary or a network that is to take the shortcut, or changes no loss of the
#: class.
OTHERS = [
    ("uniform_confusion", "identify"),
    ("feature_sieve", "forget"),
    ("soft_contrastive", "biased_loss"),
    ("flac", "biased_loss"),
    ("badd", "biased_loss"),
    ("rubi", "biased_loss"),
    ("learned_mixin", "biased_loss"),
    ("rebias", "biased_loss"),
]


def pair(name: str) -> tuple[Strategy, SmallConvolution]:
    torch.manual_seed(0)
    model = SmallConvolution()
    return CASES[name].make(model), model


@pytest.mark.parametrize("name", CASES)
def test_a_weight_multiplies_the_tasks_part_and_nothing_else(name):
    """2 everywhere doubles it; others w add the mean of (w - 1) times the samples' losses."""
    case, (strategy, model) = CASES[name], pair(name)
    objective = (
        strategy.turns(0)[0].objective
        if case.objective == "joint"
        else getattr(strategy, case.objective)
    )
    plain = objective(model, BATCH)
    losses = sum(
        F.cross_entropy(logits, BATCH.target, reduction="none")
        for logits in case.logits(strategy, model)
    )
    for weight in (torch.full((8,), 2.0), torch.arange(8) / 2):
        found = objective(model, BATCH._replace(weight=weight))
        extra = case.share * ((weight - 1) * losses).mean()
        assert (found.total - plain.total).item() == pytest.approx(extra.item(), rel=1e-4, abs=1e-5)
        for term in plain.terms.keys() - TASK:
            torch.testing.assert_close(found.terms[term], plain.terms[term])


@pytest.mark.parametrize(("name", "objective"), OTHERS)
def test_other_objectives_do_not_read_weights(name, objective):
    strategy, model = pair(name)
    objective = getattr(strategy, objective)
    plain, found = (
        objective(model, BATCH._replace(weight=w)).total for w in (None, torch.arange(8) / 2)
    )
    torch.testing.assert_close(found, plain)
    assert plain.item() > 0.01
