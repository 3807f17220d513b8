"""Training: one LightningModule for every strategy, and the functions ``fit`` and ``predict``."""
