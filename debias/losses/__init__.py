"""Losses and other formulas on tensors: per-sample input, per-sample or scalar output."""
