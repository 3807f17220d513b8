"""The network whose features an audit tests."""

from debias.audits.cues.encoder import frozen_encoder
from debias.audits.model import AuditedModel
from debias.audits.steps import NO_ENCODER, Audited


def tested_encoder(audited: Audited) -> AuditedModel:
    """The network whose features are tested: the run's, or else the frozen encoder."""
    return audited.model or frozen_encoder(audited)


def no_encoder(audited: Audited) -> str:
    """Why no features can be tested; empty if they can."""
    there = audited.model is not None or audited.encoder != NO_ENCODER
    return "" if there else "no run, and encoder=none"
