"""A compiled backbone: only within the context, with the same outputs and weights."""

import copy

import torch
from torch import Tensor, nn

from debias.models.layers import read_layer
from debias.training.compilation import compiled
from tests.fakes import BackboneNetwork


class Backbone(nn.Module):
    """One layer."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(12, 8)

    def forward(self, image: Tensor) -> Tensor:
        return self.layer(image.flatten(1)).tanh()


def test_the_backbone_is_compiled_within_the_context_only():
    """The compiler gets one graph with the backbone's layers. A copy, and the network afterwards,
    do not call it; layers can be read again.
    """
    graphs: list[list[str]] = []

    def backend(graph: torch.fx.GraphModule, inputs: list[Tensor]):
        graphs.append([str(node.target) for node in graph.graph.nodes if "call" in node.op])
        return graph.forward

    model, image = BackboneNetwork(Backbone(), nn.Linear(8, 2)), torch.randn(4, 3, 2, 2)
    plain = copy.deepcopy(model)
    with compiled(model, backend=backend):
        outputs = model(image)
        assert len(graphs) == 1
        assert len(graphs[0]) == 3
        assert model.state_dict().keys() == plain.state_dict().keys()
        copy.deepcopy(model)(image[:3])
        assert len(graphs) == 1
    torch.testing.assert_close(outputs, plain(image))
    model(image[:2])
    assert len(graphs) == 1
    torch.testing.assert_close(read_layer(model, "layer", image).outputs, plain(image))
