"""HSIC, and training by ReBias, in each of two processes."""

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from debias.losses.hsic import HSIC, median_distance
from debias.processes import joined_rows
from debias.strategies.rebias import ReBias
from debias.training.fit import seed_all
from debias.types import Batch
from tests.fakes import GROUPS, TinyClassifier, batch_of

#: Rank 0 holds seven samples and rank 1 three, too few for an HSIC of its own.
INPUTS = torch.randn(10, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
OTHERS = (
    torch.randn(10, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    + INPUTS[:, :2]
)
SHARDS = (slice(0, 7), slice(7, 10))


def quantities(shard: slice) -> dict[str, Tensor]:
    weight = torch.ones(3, 2, dtype=torch.float64, requires_grad=True)
    own = INPUTS[shard] @ weight
    found = {"rows": joined_rows(own), "sigma": median_distance(own)}
    for kernel in ("rbf", "linear"):
        hsic = HSIC(kernel=kernel)(own, OTHERS[shard])
        (gradient,) = torch.autograd.grad(hsic, weight, retain_graph=True)
        found |= {f"{kernel}/hsic": hsic, f"{kernel}/gradient": gradient}
    return found


class Side(nn.Module):
    """The objective of one player as a forward pass, which DistributedDataParallel wraps."""

    def __init__(self, strategy: ReBias, model: nn.Module) -> None:
        super().__init__()
        self.strategy, self.model = strategy, model

    def forward(self, step: int, turn: int, batch: Batch) -> Tensor:
        return self.strategy.turns(step)[turn].objective(self.model, batch).total


def trained(part: slice, *, wrapped: bool) -> dict[str, Tensor]:
    """Three steps of ReBias with a bandwidth by the median, on equal shares of batches of 16."""
    seed_all(0)
    side = Side(ReBias(GROUPS, bandwidth="median", median_every=2, lambda_f=3.0), TinyClassifier())
    # batch normalisation sees the local batch only; in evaluation mode one process and two must
    # agree
    side.eval()
    objective = DistributedDataParallel(side, find_unused_parameters=True) if wrapped else side
    owned = side.strategy.players(side.model)
    optimizers = {
        player: torch.optim.SGD(parameters, lr=0.1) for player, parameters in owned.items()
    }
    for step in range(3):
        batch = Batch(
            *(None if column is None else column[part] for column in batch_of(16, seed=step))
        )
        for turn, (player, _) in enumerate(side.strategy.turns(step)):
            side.zero_grad()
            objective(step, turn, batch).backward()
            optimizers[player].step()
    return dict(side.state_dict())


def on_rank(rank: int) -> dict[str, Tensor]:
    found = quantities(SHARDS[rank])
    found |= {
        f"trained/{k}": v for k, v in trained(slice(8 * rank, 8 * rank + 8), wrapped=True).items()
    }
    return {key: value.detach().clone() for key, value in found.items()}
