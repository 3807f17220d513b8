"""A backbone whose features are drawn, so that recipes on frozen features need neither a picture
nor a network.
"""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import torch
from torch import Tensor, nn

from debias import config as configs
from debias.data.examples import Examples
from debias.heads.linear import Rows
from debias.parts import Parts
from debias.recipes.frozen import Frozen
from debias.runs.run import Stage
from tests.fakes import GROUPS
from tests.heads.spurious_rows import SIZE, spurious_rows

#: Rows of each split; the splits are mixed in the data set.
ROWS = {"train": 120, "val": 90, "test": 30}


class DrawnBackbone(Frozen):
    """Features show the class and, more loudly, the bias, by which the model's head decides."""

    def __init__(self, *, select: str = "worst_group", seed: int = 0) -> None:
        rows = spurious_rows(sum(ROWS.values()), aligned=0.8, seed=5)
        self.everywhere = rows.features
        generator = torch.Generator().manual_seed(6)
        split = torch.arange(3).repeat_interleave(torch.tensor(list(ROWS.values())))
        split = split[torch.randperm(len(split), generator=generator)]
        names = tuple(f"{row}.png" for row in range(len(split)))
        bias = rows.group - 2 * rows.target
        examples = Examples(
            Path("pictures"), names, rows.target, bias, split, GROUPS, Path("table.csv")
        )
        head = nn.Linear(SIZE, 2)
        drawn = 0.1 * torch.randn(SIZE, generator=generator)
        drawn[:2] = torch.tensor([0.2, 0.6])  # features 0 and 1 show class and bias
        with torch.no_grad():
            head.weight.copy_(torch.stack([-drawn, drawn]))
            head.bias.zero_()
        players = {"model": [*head.parameters()]}
        module = SimpleNamespace(
            model=SimpleNamespace(head=head, feature_size=head.in_features), players=players
        )
        parts = Parts(examples, None, module, "cpu", "32-true")  # type: ignore[arg-type]  # no pictures
        config = configs.load("drawn_birds", [f"select={select}", f"seed={seed}"])
        super().__init__(Stage(parts, Path("nowhere")), config)

    def features(self, split: str) -> Tensor:
        """Those that were drawn."""
        return self.everywhere[self.stage.examples.rows(split)]

    def with_bias(self, split: str, bias: Tensor) -> None:
        """Other bias labels of a split."""
        examples = self.stage.examples
        everywhere = examples.bias.clone()
        everywhere[examples.rows(split)] = bias
        self.stage = self.stage._replace(
            parts=self.stage.parts._replace(examples=replace(examples, bias=everywhere))
        )

    def at(self, rows: Tensor, *, groups: bool) -> Rows:
        """Rows of the data set by group or, instead, by class: 2 x class + bias, as it says."""
        target, bias = self.stage.examples.target[rows], self.stage.examples.bias[rows]
        return Rows(self.everywhere[rows], target, 2 * target + bias if groups else target)

    def places(self, features: Tensor) -> Tensor:
        """``(K,)`` int64 rows of the data set that have these features; no two have the same."""
        return (features[:, None] == self.everywhere).all(dim=2).nonzero()[:, 1]
