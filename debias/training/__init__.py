"""The loop: one LightningModule, and the verbs fit and predict. It names no strategy or data."""
