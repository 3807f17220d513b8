"""What the predictions of an earlier model say about later training: pure functions of tensors."""
