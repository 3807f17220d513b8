"""One file for each method, close to the algorithm of its paper. No trainer is needed."""

from debias.strategies.adversarial import FeatureAdversary
from debias.strategies.badd import BAdd
from debias.strategies.bias_amplification import BiasAmplification
from debias.strategies.bias_contrastive import BiasContrastive
from debias.strategies.correct_n_contrast import CorrectNContrast
from debias.strategies.cross_mistakes import CrossMistakes
from debias.strategies.cvar_dro import CVaRDRO
from debias.strategies.debian import DebiAN
from debias.strategies.decompose_compose import DecomposeCompose
from debias.strategies.disentangled import Disentangled
from debias.strategies.domain_discriminative import DomainDiscriminative
from debias.strategies.domain_independent import DomainIndependent
from debias.strategies.end import EnD
from debias.strategies.erm import ERM
from debias.strategies.fairness import FairRegularised
from debias.strategies.feature_matching import CORAL, MMD, FeatureMatching
from debias.strategies.feature_sieve import FeatureSieve
from debias.strategies.flac import FLAC
from debias.strategies.focal import Focal
from debias.strategies.gradient_projection import GradientProjection
from debias.strategies.group_dro import GroupDRO
from debias.strategies.input_adversary import InputAdversary
from debias.strategies.irm import IRM, InvariantRisk
from debias.strategies.ldam import LDAM
from debias.strategies.learned_mixin import LearnedMixin
from debias.strategies.lff import LfF
from debias.strategies.logit_adjustment import ConditionalLogitAdjustment, LogitAdjustment
from debias.strategies.rebias import ReBias
from debias.strategies.reweighting import ClassReweighting, GroupReweighting, Reweighting
from debias.strategies.rubi import RUBi
from debias.strategies.soft_contrastive import SoftContrastive
from debias.strategies.spectral_decoupling import SpectralDecoupling
from debias.strategies.strategy import Strategy
from debias.strategies.uniform_confusion import UniformConfusion
from debias.strategies.vrex import VREx

__all__ = [
    "CORAL",
    "ERM",
    "FLAC",
    "IRM",
    "LDAM",
    "MMD",
    "BAdd",
    "BiasAmplification",
    "BiasContrastive",
    "CVaRDRO",
    "ClassReweighting",
    "ConditionalLogitAdjustment",
    "CorrectNContrast",
    "CrossMistakes",
    "DebiAN",
    "DecomposeCompose",
    "Disentangled",
    "DomainDiscriminative",
    "DomainIndependent",
    "EnD",
    "FairRegularised",
    "FeatureAdversary",
    "FeatureMatching",
    "FeatureSieve",
    "Focal",
    "GradientProjection",
    "GroupDRO",
    "GroupReweighting",
    "InputAdversary",
    "InvariantRisk",
    "LearnedMixin",
    "LfF",
    "LogitAdjustment",
    "RUBi",
    "ReBias",
    "Reweighting",
    "SoftContrastive",
    "SpectralDecoupling",
    "Strategy",
    "UniformConfusion",
    "VREx",
]
