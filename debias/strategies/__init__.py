"""One file a method, each of which reads like the algorithm of its paper. Plain PyTorch: no trainer is needed."""

from debias.strategies.erm import ERM
from debias.strategies.group_dro import GroupDRO
from debias.strategies.reweighting import ClassReweighting, GroupReweighting, Reweighting
from debias.strategies.strategy import Strategy

__all__ = ["ERM", "ClassReweighting", "GroupDRO", "GroupReweighting", "Reweighting", "Strategy"]
