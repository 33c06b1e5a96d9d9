"""A residual network small enough to train on scikit-learn's digits in seconds, on a processor."""

from evaluators.models.cifar_resnet import CifarResNet
from evaluators.registries import MODELS


@MODELS.register("digits_resnet", paper="arXiv:1512.03385")
def digits_resnet(*, num_classes: int, in_channels: int = 1, num_blocks: int = 2, width: int = 12) -> CifarResNet:
    """Three stages of `num_blocks` residual blocks for 8 x 8 images; 97 k parameters as it stands."""
    return CifarResNet(num_blocks=num_blocks, width=width, num_classes=num_classes, in_channels=in_channels)
