"""Groups, masks and sample weights from an earlier model: pure functions of tensors and arrays."""
