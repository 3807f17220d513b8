"""The mitigation methods, one file per method. Each is plain PyTorch and needs no trainer."""
