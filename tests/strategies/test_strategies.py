"""Every strategy: its value by hand or by definition, and Lightning's training equals a plain
loop's, bit for bit.
"""

import copy
from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from debias import components
from debias.methods import METHODS
from debias.strategies.adversarial_training import AdversarialTraining, FreeAdversarialTraining
from debias.strategies.amplified import AmplifiedDisentangled, AmplifiedLfF
from debias.strategies.badd import BAdd
from debias.strategies.bias_amplification import BiasAmplification
from debias.strategies.bias_contrastive import BiasContrastive
from debias.strategies.coral import CORAL
from debias.strategies.correct_n_contrast import CorrectNContrast
from debias.strategies.cross_mistakes import CrossMistakes
from debias.strategies.cvar_dro import CVaRDRO
from debias.strategies.debian import DebiAN
from debias.strategies.denetdm import DeNetDM
from debias.strategies.disentangled import Disentangled
from debias.strategies.domain_discriminative import DomainDiscriminative
from debias.strategies.domain_independent import DomainIndependent
from debias.strategies.echoes import Echoes
from debias.strategies.elastic import Elastic
from debias.strategies.end import EnD
from debias.strategies.equivariant import Equivariant
from debias.strategies.erm import ERM
from debias.strategies.fair_regularised import FairRegularised
from debias.strategies.feature_adversary import FeatureAdversary
from debias.strategies.feature_sieve import FeatureSieve
from debias.strategies.flac import FLAC
from debias.strategies.focal import Focal
from debias.strategies.generalized_cross_entropy import GeneralizedCrossEntropy
from debias.strategies.gradient_projection import GradientProjection
from debias.strategies.group_dro import GroupDRO
from debias.strategies.input_adversary import InputAdversary
from debias.strategies.irm import IRM
from debias.strategies.ldam import LDAM
from debias.strategies.learned_mixin import LearnedMixin
from debias.strategies.lens import Lens
from debias.strategies.lff import LfF
from debias.strategies.logit_adjustment import ConditionalLogitAdjustment, LogitAdjustment
from debias.strategies.logit_correction import LogitCorrection
from debias.strategies.mmd import MMD
from debias.strategies.ood_training import OODTraining
from debias.strategies.rebias import ReBias
from debias.strategies.reweighting import ClassReweighting, GroupReweighting
from debias.strategies.rubi import RUBi
from debias.strategies.selecmix import SelecMix, SelecMixLfF
from debias.strategies.soft_contrastive import SoftContrastive
from debias.strategies.spectral_decoupling import SpectralDecoupling
from debias.strategies.strategy import Strategy
from debias.strategies.uniform_confusion import UniformConfusion
from debias.strategies.vrex import VREx
from debias.training.fit import fit, seed_all, trainer
from debias.training.module import DebiasModule
from debias.training.optimizers import constant, sgd
from debias.types import Batch, Groups
from tests.fakes import GROUPS, TinyClassifier, TinyData, batch_of, take_turns
from tests.toy_strategies import TwoPlayers

FREQUENCIES = torch.tensor([30, 6, 2, 10])
IMAGE = torch.zeros(1, 3, 2, 2)
HALF = (0.5, 0.5, 0.5)
#: Side of the images that a strategy needs, where the usual 2 is too small: a mask network halves
#: them twice.
SIDES = {"lens": 4, "input_adversary": 4, "input_adversary_stages": 4}


def one_picture(folder: str) -> torch.Tensor:
    return torch.full((1, 3, 2, 2), 60).byte()


def masked(**options: int) -> InputAdversary:
    return InputAdversary(
        GROUPS, TinyClassifier(48), torch.zeros(1, 3, 4, 4), width=2, depth=2, **options
    )


def echoes() -> Echoes:
    """As after a first epoch, before which the model gets no weight."""
    strategy = Echoes(GROUPS, 48, TinyClassifier(), strength=2.0)
    strategy.weights.fill_(0.5)
    return strategy


STRATEGIES: dict[str, Callable[[], Strategy]] = {
    "erm": ERM,
    "group_dro": lambda: GroupDRO(GROUPS, FREQUENCIES, step_size=0.5, adjustment=1.0),
    "class_reweighting": lambda: ClassReweighting(GROUPS, torch.tensor([36, 12])),
    "group_reweighting": lambda: GroupReweighting(GROUPS, FREQUENCIES, power=0.5),
    "focal": Focal,
    "ldam": lambda: LDAM(GROUPS, torch.tensor([36, 12]), scale=2.0),
    "logit_adjustment": lambda: LogitAdjustment(GROUPS, torch.tensor([36, 12])),
    "conditional_logit_adjustment": lambda: ConditionalLogitAdjustment(GROUPS, FREQUENCIES),
    "cvar_dro": lambda: CVaRDRO(alpha=0.3),
    "spectral_decoupling": lambda: SpectralDecoupling(GROUPS),
    "spectral_decoupling_shifted": lambda: SpectralDecoupling(GROUPS, shifts=(0.44, 2.5)),
    "elastic": lambda: Elastic(nuclear=0.1, frobenius=0.01),
    "rebias": lambda: ReBias(GROUPS),
    "rebias_median": lambda: ReBias(
        GROUPS, bandwidth="median", biased_networks=2, biased_updates=2
    ),
    "rubi": lambda: RUBi(GROUPS),
    "learned_mixin": lambda: LearnedMixin(GROUPS, TinyClassifier(), warmup=4),
    "feature_adversary": lambda: FeatureAdversary(
        GROUPS, TinyClassifier(), IMAGE, hidden_size=8, ramp=5
    ),
    "feature_adversary_layer": lambda: FeatureAdversary(
        GROUPS, TinyClassifier(), IMAGE, layer="body", feed="flattened", hidden_size=8
    ),
    "input_adversary": masked,
    "input_adversary_stages": lambda: masked(pretraining=4, warmup=4),
    "ood_training": lambda: OODTraining(GROUPS, HALF, HALF, one_picture, folder="pictures"),
    "lens": lambda: Lens(GROUPS, torch.zeros(1, 3, 4, 4), width=2, depth=2, closeness=2.0),
    "uniform_confusion": lambda: UniformConfusion(GROUPS, TinyClassifier(), IMAGE),
    "gradient_projection": lambda: GradientProjection(GROUPS),
    "adversarial_training": lambda: AdversarialTraining(
        HALF, HALF, steps=2, epsilon=0.1, random_start=False
    ),
    "free_adversarial_training": lambda: FreeAdversarialTraining(
        HALF, HALF, IMAGE, 16, epsilon=0.1, replays=2
    ),
    "feature_sieve": lambda: FeatureSieve(GROUPS, TinyClassifier(), IMAGE, layer="body", width=8),
    "feature_sieve_joint": lambda: FeatureSieve(
        GROUPS, TinyClassifier(), IMAGE, layer="body", width=8, joint=True
    ),
    "generalized_cross_entropy": lambda: GeneralizedCrossEntropy(GROUPS),
    "lff": lambda: LfF(GROUPS, 48, TinyClassifier()),
    "amplified_lff": lambda: AmplifiedLfF(GROUPS, 48, TinyClassifier(), torch.arange(48) % 3 == 0),
    "echoes": echoes,
    "logit_correction": lambda: LogitCorrection(GROUPS, TinyClassifier(), ramp=8),
    "selecmix": lambda: SelecMix(GROUPS, TinyClassifier()),
    "selecmix_lff": lambda: SelecMixLfF(GROUPS, 48, TinyClassifier()),
    "disentangled": lambda: Disentangled(GROUPS, 48, TinyClassifier(), swap_after=4),
    "amplified_disentangled": lambda: AmplifiedDisentangled(
        GROUPS, 48, TinyClassifier(), torch.arange(48) % 3 == 0, swap_after=4
    ),
    "debian": lambda: DebiAN(GROUPS, TinyClassifier()),
    "denetdm": lambda: DeNetDM(GROUPS, TinyClassifier(), IMAGE, shallow=("flatten",), warmup=4),
    "flac": lambda: FLAC(GROUPS, FREQUENCIES, TinyClassifier(), warmup=4, strength=50.0),
    "domain_independent": lambda: DomainIndependent(GROUPS),
    "domain_discriminative": lambda: DomainDiscriminative(
        GROUPS, FREQUENCIES, divide_by_prior=True
    ),
    "end": lambda: EnD(GROUPS, disentangling=1.0, entangling=1.0),
    "bias_contrastive": lambda: BiasContrastive(
        GROUPS, FREQUENCIES, task_weight=1.0, balanced_logits=True
    ),
    "soft_contrastive": lambda: SoftContrastive(GROUPS, temperature=0.5, task_weight=1.0),
    "badd": lambda: BAdd(GROUPS, TinyClassifier(), warmup=4, refit_from=8),
    "fair_regularised": lambda: FairRegularised(GROUPS),
    "irm": lambda: IRM(GROUPS, penalty=10.0, warmup=5),
    "irm_group": lambda: IRM(GROUPS, environments="group", unbiased=False, warmup=0, rescale=True),
    "vrex": lambda: VREx(GROUPS, warmup=5),
    "coral": lambda: CORAL(GROUPS),
    "mmd": lambda: MMD(GROUPS, conditional=True),
    "equivariant": lambda: Equivariant(GROUPS, TinyClassifier(), deviation=0.5),
    "cross_mistakes": lambda: CrossMistakes(GROUPS, 48, TinyClassifier(), 0),
    "bias_amplification": lambda: BiasAmplification(GROUPS, 48),
    "correct_n_contrast": lambda: CorrectNContrast(GROUPS),
    "two_players": lambda: TwoPlayers(features=5),
}


def losses_of(model: TinyClassifier, batch: Batch) -> torch.Tensor:
    return F.cross_entropy(model(batch.image).logits, batch.target, reduction="none")


def test_erm_is_the_mean():
    model, batch = TinyClassifier(), batch_of(8)
    loss = ERM().loss(model, batch)
    assert loss.total.item() == pytest.approx(losses_of(model, batch).mean().item())
    assert loss.terms == {}


def test_erm_weighs_where_the_batch_has_weights():
    model, batch = TinyClassifier(), batch_of(4)
    weight = torch.tensor([0.0, 2.0, 1.0, 0.5])
    expected = (losses_of(model, batch) * weight).sum() / 4
    assert ERM().loss(model, batch._replace(weight=weight)).total.item() == pytest.approx(
        expected.item()
    )


def test_group_dro_by_hand():
    """One sample a group and q_g proportional to exp(0.5 * (l_g + 1 / sqrt(n_g))): the loss is
    sum_g q_g l_g.
    """
    model, batch = TinyClassifier(), batch_of(4)
    strategy = STRATEGIES["group_dro"]()
    losses = losses_of(model, batch).double()
    group = torch.tensor([0, 2, 1, 3])
    weights = torch.softmax(0.5 * (losses + FREQUENCIES[group].double() ** -0.5), dim=0)
    loss = strategy.loss(model, batch)
    assert loss.total.item() == pytest.approx((weights * losses).sum().item(), rel=1e-6)
    assert loss.terms["group_weight"][group].tolist() == pytest.approx(weights.tolist(), rel=1e-6)


def test_reweighting_by_hand():
    """Class counts 36 and 12: weights 2/3 and 2. Group counts 30, 6, 2, 10 and p = 1/2:
    proportional to n^-1/2.
    """
    model, batch = TinyClassifier(), batch_of(8)
    losses = losses_of(model, batch).double()
    by_class = (losses * torch.tensor([2 / 3, 2.0])[batch.target]).mean()
    assert STRATEGIES["class_reweighting"]().loss(model, batch).total.item() == pytest.approx(
        by_class.item(), rel=1e-5
    )
    root = FREQUENCIES.double() ** -0.5
    weights = root * 48 / (root * FREQUENCIES).sum()
    by_group = (losses * weights[2 * batch.target + batch.bias]).mean()
    assert STRATEGIES["group_reweighting"]().loss(model, batch).total.item() == pytest.approx(
        by_group.item(), rel=1e-5
    )


def test_requirements():
    assert {name: make().requires for name, make in STRATEGIES.items() if make().requires} == {
        "group_dro": ("bias", "groups"),
        "flac": ("some bias",),
        "irm": ("bias",),
        "irm_group": ("bias",),
        "vrex": ("bias",),
        "coral": ("bias",),
        "mmd": ("bias",),
        "group_reweighting": ("bias", "groups"),
        "conditional_logit_adjustment": ("bias",),
        "feature_adversary": ("bias",),
        "feature_adversary_layer": ("bias",),
        "input_adversary": ("bias",),
        "input_adversary_stages": ("bias",),
        "uniform_confusion": ("bias",),
        "gradient_projection": ("bias",),
        "domain_independent": ("bias",),
        "domain_discriminative": ("bias",),
        "end": ("bias",),
        "bias_contrastive": ("bias",),
        "badd": ("bias",),
        "equivariant": ("bias",),
        "fair_regularised": ("bias",),
        "correct_n_contrast": ("bias",),
    }


FACTS = {
    **{"mean": HALF, "std": HALF, "read_folder": one_picture},
    "samples": 48,
    "frequencies": torch.ones(8),
    "class_frequencies": torch.ones(4),
    "partition_by_row": torch.zeros(48, dtype=torch.int64),
    "chosen_by_row": torch.arange(48) % 3 == 0,
    "model": TinyClassifier(),
    "image": IMAGE,
    "row": torch.zeros(48, 2, dtype=torch.int64),
    "seed": 0,
}
LABELS = Groups(("no", "yes", "no hat", "hat"), ("land", "water"), multi_label=True)
SINGLE_LABEL = {
    *("group_dro", "class_reweighting", "group_reweighting", "ldam", "logit_adjustment"),
    *("conditional_logit_adjustment", "domain_discriminative", "end", "bias_contrastive"),
    *("soft_contrastive", "learned_mixin", "lff", "disentangled", "debian", "flac"),
    *("correct_n_contrast", "bias_amplification", "cross_mistakes", "decompose_compose"),
    *("denetdm", "partition"),
    *("generalized_cross_entropy", "amplified_lff", "amplified_disentangled"),
    *("logit_correction", "echoes", "selecmix", "selecmix_lff"),
    *("lens", "ood_training"),
    *("consistency", "view_contrast", "translation"),
}


@pytest.mark.parametrize("name", [name for name in METHODS["strategy"] if name in SINGLE_LABEL])
def test_several_labels_are_refused(name):
    message = "needs one class per sample: name a single target, not several labels"
    with pytest.raises(ValueError, match=message):
        components.construct("strategy", {"name": name}, FACTS | {"groups": LABELS})


def test_what_needs_one_class_per_sample():
    found = {name for name in METHODS["strategy"] if components.find("strategy", name).single_label}
    assert found == SINGLE_LABEL


def classifier(strategy: Strategy, side: int) -> TinyClassifier:
    return TinyClassifier(3 * side * side, outputs=strategy.model_outputs(GROUPS))


def plain_loop(strategy: Strategy, model: nn.Module, side: int, steps: range) -> None:
    optimizers = {player: sgd(owned, lr=0.1) for player, owned in strategy.players(model).items()}
    batches = TinyData(side=side).batches()
    for step in steps:
        take_turns(strategy, model, batches[step % len(batches)], step, optimizers)


def assert_same_state(one: nn.Module, other: nn.Module) -> None:
    torch.testing.assert_close(one.state_dict(), other.state_dict(), rtol=0, atol=0)


@pytest.mark.parametrize("name", STRATEGIES)
def test_a_new_strategy_continues_from_a_saved_state(name):
    side = SIDES.get(name, 2)
    seed_all(1)
    strategy = STRATEGIES[name]()
    model = classifier(strategy, side)
    plain_loop(strategy, model, side, range(5))
    restored, twin = STRATEGIES[name](), copy.deepcopy(model)
    restored.load_state_dict(strategy.state_dict())
    for owner, network in ((strategy, model), (restored, twin)):
        seed_all(2)
        plain_loop(owner, network, side, range(5, 12))
    assert_same_state(restored, strategy)
    assert_same_state(twin, model)


@pytest.mark.parametrize("name", STRATEGIES)
def test_lightning_equals_the_plain_loop(name, tmp_path):
    seed_all(1)
    strategy, twin = STRATEGIES[name](), STRATEGIES[name]()
    twin.load_state_dict(strategy.state_dict())
    side = SIDES.get(name, 2)
    seed_all(0)
    expected = classifier(twin, side)
    plain_loop(twin, expected, side, range(12))
    seed_all(0)
    module = DebiasModule(
        classifier(strategy, side),
        strategy,
        GROUPS,
        FREQUENCIES,
        optimizer=lambda player, parameters: sgd(parameters, lr=0.1),
        scheduler=partial(constant, epochs=2),
    )
    start = [parameter.detach().clone() for parameter in module.model.parameters()]
    lightning = trainer(tmp_path, epochs=2, seed=0, accelerator="cpu", progress=False)
    fit(module, TinyData(side=side), lightning)
    assert_same_state(module.model, expected)
    assert_same_state(strategy, twin)
    assert not any(
        torch.equal(before, now)
        for before, now in zip(start, module.model.parameters(), strict=True)
    )


@pytest.mark.parametrize("name", STRATEGIES)
def test_terms_to_log_carry_no_gradient(name):
    """In any stage: a term that did would keep the graph of the step until it is logged."""
    torch.manual_seed(0)
    side = SIDES.get(name, 2)
    strategy, batch = STRATEGIES[name](), batch_of(12, side=side)
    model = classifier(strategy, side)
    for step in range(12):
        for turn in strategy.turns(step):
            loss = turn.objective(model, batch)
            assert loss.total.requires_grad
            assert [term for term, value in loss.terms.items() if value.requires_grad] == []
