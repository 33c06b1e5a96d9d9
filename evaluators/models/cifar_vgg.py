"""VGG-16 with batch norm for 32 x 32 images: torchvision's features, and one linear layer as classifier."""

from torch import Tensor, nn

from evaluators.registries import MODELS

CONFIGURATION_D = (64, 64, 0, 128, 128, 0, 256, 256, 256, 0, 512, 512, 512, 0, 512, 512, 512, 0)
"""Channels of the convolutions; 0 is a 2 x 2 maximum. arXiv 1409.1556, table 1, column D."""


class CifarVgg(nn.Module):
    """Keys features.0 ... features.41 as in torchvision's vgg16_bn, then `classifier`."""

    def __init__(self, *, num_classes: int, in_channels: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        previous = in_channels
        for width in CONFIGURATION_D:
            if width == 0:
                layers.append(nn.MaxPool2d(2))
                continue
            layers += [nn.Conv2d(previous, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU(inplace=True)]
            previous = width
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Linear(previous, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Logits (B, num_classes); images of 32 x 32 arrive at the classifier as one pixel."""
        logits: Tensor = self.classifier(self.features(x_BCHW).mean(dim=(2, 3)))
        return logits


@MODELS.register("cifar_vgg16_bn", paper="arXiv:1409.1556")
def cifar_vgg16_bn(*, num_classes: int, in_channels: int = 3) -> CifarVgg:
    """VGG-16 with batch norm for 32 x 32 images."""
    return CifarVgg(num_classes=num_classes, in_channels=in_channels)
