"""Training with two networks in each of two processes."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from debias.strategies.bias_amplification import BiasAmplification
from debias.strategies.correct_n_contrast import CorrectNContrast
from debias.strategies.cross_mistakes import CrossMistakes
from debias.strategies.debian import DebiAN
from debias.strategies.denetdm import DeNetDM
from debias.strategies.disentangled import Disentangled
from debias.strategies.flac import FLAC
from debias.strategies.lff import LfF
from debias.strategies.logit_correction import LogitCorrection
from debias.strategies.selecmix import SelecMix
from debias.strategies.soft_contrastive import SoftContrastive
from debias.strategies.strategy import Strategy
from debias.types import Batch, Turn
from tests.fakes import GROUPS, TinyClassifier, batch_of


def soft_contrastive(model: nn.Module) -> Strategy:
    """With a biased network without batch normalisation, which sees its own process alone."""
    strategy = SoftContrastive(GROUPS, temperature=0.5, task_weight=1.0)
    strategy.network = TinyClassifier()
    return strategy


class Contrast(SelecMix):
    """The turn of the contrastive network alone, because mixing is within a process."""

    def turns(self, step: int) -> Sequence[Turn]:
        return super().turns(step)[:1]


STRATEGIES: dict[str, Callable[[nn.Module], Strategy]] = {
    "lff": lambda model: LfF(GROUPS, 16, model),
    # a process swaps its own samples, so that only what comes before the swap is the same
    "disentangled": lambda model: Disentangled(GROUPS, 16, model),
    # mixing is within a process
    "logit_correction": lambda model: LogitCorrection(GROUPS, model, mixing=0.0),
    "debian": lambda model: DebiAN(GROUPS, model),
    "flac": lambda model: FLAC(GROUPS, torch.ones(4), model, warmup=2, strength=50.0),
    "denetdm": lambda model: DeNetDM(
        GROUPS, model, torch.zeros(1, 3, 2, 2), shallow=("flatten",), warmup=2
    ),
    "cross_mistakes": lambda model: CrossMistakes(GROUPS, 16, model, 0),
    "bias_amplification": lambda model: BiasAmplification(GROUPS, 16, strength=5.0),
    "soft_contrastive": soft_contrastive,
    "selecmix": lambda model: Contrast(GROUPS, model, size=7),
    "correct_n_contrast": lambda model: CorrectNContrast(GROUPS, temperature=0.5),
}


class Both(nn.Module):
    """Model and strategy in one module, as in the LightningModule, and one turn as forward pass."""

    def __init__(self, make: Callable[[nn.Module], Strategy]) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.model = TinyClassifier()
        self.strategy = make(self.model)

    def forward(self, step: int, turn: int, batch: Batch) -> Tensor:
        return self.strategy.turns(step)[turn].objective(self.model, batch).total


def train(
    make: Callable[[nn.Module], Strategy], part: slice, *, wrapped: bool
) -> dict[str, Tensor]:
    """Five steps of all players on shares of batches of 16, of rows in another order each time."""
    both = Both(make)
    players = both.strategy.players(both.model)
    module = (
        DistributedDataParallel(both, find_unused_parameters=len(players) > 1) if wrapped else both
    )
    optimizers = {player: torch.optim.SGD(owned, lr=0.1) for player, owned in players.items()}
    for step in range(5):
        order = torch.randperm(16, generator=torch.Generator().manual_seed(step))[part]
        batch = Batch(*(None if column is None else column[order] for column in batch_of(16)))
        for turn, (player, _) in enumerate(both.strategy.turns(step)):
            module.zero_grad()
            module(step, turn, batch).backward()
            optimizers[player].step()
    return dict(both.state_dict())


def on_rank(rank: int) -> dict[str, dict[str, Tensor]]:
    part = slice(0, 8) if rank == 0 else slice(8, 16)
    return {name: train(make, part, wrapped=True) for name, make in STRATEGIES.items()}
