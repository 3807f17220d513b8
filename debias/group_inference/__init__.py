"""Groups, masks and sample weights from an earlier model's outputs: pure functions of tensors."""
