"""One file a method, each of which reads like the algorithm of its paper. Plain PyTorch: no trainer is needed."""

from debias.strategies.adversarial import FeatureAdversary
from debias.strategies.erm import ERM
from debias.strategies.feature_sieve import FeatureSieve
from debias.strategies.gradient_projection import GradientProjection
from debias.strategies.group_dro import GroupDRO
from debias.strategies.input_adversary import InputAdversary
from debias.strategies.learned_mixin import LearnedMixin
from debias.strategies.rebias import ReBias
from debias.strategies.reweighting import ClassReweighting, GroupReweighting, Reweighting
from debias.strategies.rubi import RUBi
from debias.strategies.strategy import Strategy
from debias.strategies.uniform_confusion import UniformConfusion

__all__ = [
    "ERM",
    "ClassReweighting",
    "FeatureAdversary",
    "FeatureSieve",
    "GradientProjection",
    "GroupDRO",
    "GroupReweighting",
    "InputAdversary",
    "LearnedMixin",
    "RUBi",
    "ReBias",
    "Reweighting",
    "Strategy",
    "UniformConfusion",
]
