"""Residual networks through timm's own class, for large images and for small ones.

Paper: He, Zhang, Ren, Sun, Deep Residual Learning for Image Recognition, CVPR 2016, arXiv 1512.03385; the small stem is
that of its section 4.2 (CIFAR-10). Code: timm, Apache-2.0.
"""

from __future__ import annotations

from typing import Any

from timm.models.resnet import BasicBlock, Bottleneck, ResNet
from torch import nn

from zoo_core.contract import Head
from zoo_vision.configs.models import ResNetConfig
from zoo_vision.models.common import with_head

_STEM = 64
"""Channels of the stem."""


def build(config: ResNetConfig, head: Head) -> nn.Module:
    """The network with pooled features, a classifier or a contrastive model."""
    return with_head(lambda classes: network_of(config, classes), config, head, "resnet")


def network_of(config: ResNetConfig, classes: int) -> ResNet:
    """timm's residual network with that many classes; with 0 it gives its pooled features (B, D)."""
    block: Any = BasicBlock if config.block == "basic" else Bottleneck
    network: Any = ResNet(
        block,
        config.layers,
        num_classes=classes,
        in_chans=config.in_chans,
        channels=config.channels,
        drop_rate=config.drop_rate,
        drop_path_rate=config.drop_path_rate,
    )
    if config.stem == "small":
        network.conv1 = nn.Conv2d(config.in_chans, _STEM, 3, padding=1, bias=False)
        # As timm draws its own convolutions.
        nn.init.kaiming_normal_(network.conv1.weight, mode="fan_out", nonlinearity="relu")
        network.maxpool = nn.Identity()
    built: ResNet = network
    return built
