"""What the predictions of an earlier model say about later training: pure functions of tensors."""

from debias.group_inference.disagreement import largest_disagreement, largest_losses
from debias.group_inference.errors import error_set
from debias.group_inference.focal import focal_weights

__all__ = ["error_set", "focal_weights", "largest_disagreement", "largest_losses"]
