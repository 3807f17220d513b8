"""The network whose features an audit tests."""

from debias.audits.model import AuditedModel
from debias.audits.steps import Audited


def tested_encoder(audited: Audited) -> AuditedModel:
    """The network whose features are tested: the run's, or else the encoder.

    Call it only where :func:`no_encoder` is empty.
    """
    network = audited.model or audited.encoder
    assert network is not None
    return network


def no_encoder(audited: Audited) -> str:
    """Why no features can be tested; empty if they can."""
    return "" if audited.model or audited.encoder else "no run, and encoder=none"
