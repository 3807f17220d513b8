"""Mathematical quantities: per-sample in, per-sample or scalar out. Nothing here knows of models or training."""

from debias.losses.balanced_weights import balanced_weights
from debias.losses.classification import classification_losses
from debias.losses.group_dro import GroupDROLoss
from debias.losses.group_means import GroupMeans, group_means

__all__ = ["GroupDROLoss", "GroupMeans", "balanced_weights", "classification_losses", "group_means"]
