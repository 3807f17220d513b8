"""Networks of somebody else's package, which know nothing of this project."""

from types import SimpleNamespace

import torch
import torchvision
from torch import Tensor, nn

from debias.models.classifier import Classifier


class SmallCNN(nn.Module):
    """Two convolutions and two linear layers, with dropout before the last."""

    def __init__(self, num_classes: int = 10, *, width: int = 8, pretrained: bool = False) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, width, 3, stride=2, padding=1), nn.ReLU())
        self.deep = nn.Sequential(
            nn.Conv2d(width, 2 * width, 3, stride=2, padding=1),
            nn.BatchNorm2d(2 * width),
            nn.ReLU(),
        )
        self.classifier = nn.Sequential(nn.Dropout(), nn.Linear(2 * width, num_classes))
        self.started_trained = pretrained

    def forward(self, image: Tensor) -> Tensor:
        return self.classifier(self.deep(self.stem(image)).mean(dim=(2, 3)))


class Block(nn.Module):
    """A layer of a transformer that returns a tuple, as Hugging Face's do."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(size)
        self.attention = nn.MultiheadAttention(size, 2, batch_first=True)

    def forward(self, tokens: Tensor) -> tuple[Tensor, None]:
        normed = self.norm(tokens)
        return tokens + self.attention(normed, normed, normed)[0], None


class HuggingViT(nn.Module):
    """A transformer in the manner of Hugging Face: a config, and outputs with ``logits``."""

    def __init__(self, num_labels: int = 3, *, patch: int = 8, size: int = 16) -> None:
        super().__init__()
        self.config = SimpleNamespace(model_type="vit")
        self.embed = nn.Conv2d(3, size, patch, stride=patch)
        self.token = nn.Parameter(torch.randn(1, 1, size))
        self.layers = nn.ModuleList(Block(size) for _ in range(3))
        self.norm = nn.LayerNorm(size)
        self.classifier = nn.Linear(size, num_labels)

    def forward(self, pixel_values: Tensor) -> SimpleNamespace:
        patches = self.embed(pixel_values).flatten(2).mT
        tokens = torch.cat([self.token.expand(len(patches), -1, -1), patches], dim=1)
        for layer in self.layers:
            (tokens, _) = layer(tokens)
        return SimpleNamespace(logits=self.classifier(self.norm(tokens)[:, 0]))


def hugging_vit() -> HuggingViT:
    """A transformer for three classes."""
    return HuggingViT()


def transformers_vit() -> nn.Module:
    """A very small ViT of Hugging Face."""
    from transformers import ViTConfig, ViTForImageClassification

    sizes = {"hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 32}
    return ViTForImageClassification(
        ViTConfig(image_size=32, patch_size=8, num_hidden_layers=2, **sizes)
    )


def resnet18() -> nn.Module:
    """torchvision's network, whose weights are new."""
    network: nn.Module = torchvision.models.resnet18(num_classes=3)
    return network


def torchvision_vit() -> nn.Module:
    """A very small ViT of torchvision, for images of 32 pixels."""
    sizes = {"num_layers": 2, "num_heads": 2, "hidden_dim": 16, "mlp_dim": 32, "num_classes": 3}
    network: nn.Module = torchvision.models.VisionTransformer(32, 8, **sizes)
    return network


def torchvision_swin(outputs: int) -> nn.Module:
    """A small Swin of torchvision, which computes with channels last."""
    network: nn.Module = torchvision.models.SwinTransformer(
        patch_size=[4, 4],
        embed_dim=16,
        depths=[1, 1],
        num_heads=[1, 2],
        window_size=[2, 2],
        num_classes=outputs,
    )
    return network


def wrapped(outputs: int) -> Classifier:
    """A network that somebody has wrapped already."""
    return Classifier.wrap(SmallCNN(outputs), "classifier.1", mean=(0.1, 0.2, 0.3), std=(1, 1, 1))


class ByView(nn.Module):
    """A network that flattens by ``view``, which does not work on maps with channels last."""

    def __init__(self, outputs: int = 3, *, side: int = 32) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, stride=4, padding=1)
        self.fc = nn.Linear(4 * (side // 4) ** 2, outputs)

    def forward(self, image: Tensor) -> Tensor:
        maps = self.conv(image)
        return self.fc(maps.view(len(maps), -1))


def ends_in_softmax(outputs: int) -> nn.Module:
    """A network whose outputs are probabilities."""
    network = SmallCNN(outputs)
    network.register_forward_hook(lambda module, inputs, logits: logits.softmax(dim=1))
    return network


def text() -> str:
    """No network."""
    return "resnet18"
