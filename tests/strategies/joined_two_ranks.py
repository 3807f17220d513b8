"""Run as ``python -m tests.strategies.joined_two_ranks FOLDER RANK`` in two processes: writes what each got."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import torch

from debias.strategies import BiasContrastive, DomainDiscriminative, DomainIndependent, EnD, FairRegularised, Strategy
from tests.fakes import GROUPS
from tests.strategies.adversaries_two_ranks import main

FREQUENCIES = torch.tensor([30, 6, 2, 10])
STRATEGIES: dict[str, Callable[[torch.nn.Module], Strategy]] = {
    "end": lambda model: EnD(GROUPS, disentangling=1.0, entangling=1.0),
    "bias_contrastive": lambda model: BiasContrastive(GROUPS, FREQUENCIES, task_weight=1.0, balanced_logits=True),
    "parity": lambda model: FairRegularised(GROUPS, criterion="demographic_parity"),
    "odds": lambda model: FairRegularised(GROUPS, weight=3.0),
    "domain_independent": lambda model: DomainIndependent(GROUPS),
    "domain_discriminative": lambda model: DomainDiscriminative(GROUPS, FREQUENCIES),
}

if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), STRATEGIES)
