"""Vision Transformers through timm's own class, and the masked autoencoder that pretrains them.

Papers: Dosovitskiy et al., An Image is Worth 16x16 Words, ICLR 2021, arXiv 2010.11929; He et al., Masked Autoencoders
Are Scalable Vision Learners, CVPR 2022, arXiv 2111.06377. Code of the encoder: timm, Apache-2.0.
"""

from __future__ import annotations

from functools import partial
from typing import Any, ClassVar

import torch
from timm.layers import LayerNorm  # type: ignore[attr-defined]
from timm.layers.pos_embed_sincos import build_sincos2d_pos_embed
from timm.models.vision_transformer import Block, VisionTransformer
from torch import Tensor, nn

from zoo_core.contract import Head
from zoo_vision.configs.models import ViTConfig
from zoo_vision.models.common import MASKED, AroundEncoder, with_head

_DECODER_HEAD = 32
"""Width of one attention head of the decoder."""


def build(config: ViTConfig, head: Head) -> nn.Module:
    """The encoder with pooled features, a classifier, a masked autoencoder or a contrastive model."""
    if head.task == MASKED and not config.features_only:
        return MaskedAutoencoder(config)
    return with_head(lambda classes: encoder_of(config, classes), config, head, "vit")


def encoder_of(config: ViTConfig, classes: int) -> VisionTransformer:
    """timm's Vision Transformer with that many classes; with 0 it gives its pooled features (B, D)."""
    return VisionTransformer(
        img_size=config.img_size,
        patch_size=config.patch_size,
        in_chans=config.in_chans,
        num_classes=classes,
        global_pool=config.global_pool,
        embed_dim=config.embed_dim,
        depth=config.depth,
        num_heads=config.num_heads,
        mlp_ratio=config.mlp_ratio,
        drop_rate=config.drop_rate,
        drop_path_rate=config.drop_path_rate,
        norm_layer=partial(LayerNorm, eps=config.norm_eps),
    )


class MaskedAutoencoder(AroundEncoder):
    """Reads some patches of an image and reconstructs the others.

    The encoder sees the visible patches only; a small decoder sees their codes and a mask token in every hidden place
    (He et al., section 3). The encoder's positions are learned, as in the Vision Transformer; the decoder's are fixed.
    """

    encoder: VisionTransformer
    undecayed: ClassVar[frozenset[str]] = frozenset({"mask_token"})

    def __init__(self, config: ViTConfig) -> None:
        super().__init__()
        self.patch_size = config.patch_size
        self.encoder = encoder_of(config, 0)
        width, side = config.decoder_dim, config.img_size // config.patch_size
        self.decoder = nn.ModuleDict(
            {
                "embed": nn.Linear(config.embed_dim, width),
                "blocks": nn.Sequential(
                    *(Block(width, width // _DECODER_HEAD, qkv_bias=True) for _ in range(config.decoder_depth))
                ),
                "norm": nn.LayerNorm(width, eps=1e-6),
                "pixels": nn.Linear(width, config.patch_size**2 * config.in_chans),
            }
        )
        self.mask_token = nn.Parameter(torch.zeros(1, 1, width))
        nn.init.normal_(self.mask_token, std=0.02)
        positions = build_sincos2d_pos_embed([side, side], dim=width, interleave_sin_cos=True)  # (N, W)
        self.decoder_positions: Tensor
        self.register_buffer("decoder_positions", positions.unsqueeze(0), persistent=False)

    def forward(self, images: Tensor, order: Tensor, visible: int) -> Tensor:
        """Reconstructed patches (B, N, P) in the order of the grid, N patches of P = patch² × channels values.

        Args:
            images: (B, C, S, S), normalised.
            order: (B, N) int64, a permutation of the patches of each image; the first `visible` are seen.
            visible: how many.
        """
        codes = self.encode(images, order[:, :visible])  # (B, 1 + V, D)
        codes = self.decoder["embed"](codes)  # (B, 1 + V, W)
        prefix, seen = codes[:, :1], codes[:, 1:]  # (B, 1, W), (B, V, W)
        hidden = self.mask_token.expand(len(images), order.shape[1] - visible, -1).to(seen.dtype)  # (B, N - V, W)
        back = order.argsort(1).unsqueeze(-1).expand(-1, -1, seen.shape[-1])  # (B, N, W), the inverse permutation
        tokens = torch.cat((seen, hidden), 1).gather(1, back) + self.decoder_positions  # (B, N, W)
        tokens = self.decoder["blocks"](torch.cat((prefix, tokens), 1))  # (B, 1 + N, W): class token first
        patches: Tensor = self.decoder["pixels"](self.decoder["norm"](tokens[:, 1:]))  # (B, N, P)
        return patches

    def encode(self, images: Tensor, seen: Tensor) -> Tensor:
        """Codes (B, 1 + V, D) of the class token and of the patches `seen` (B, V) by their numbers."""
        encoder: Any = self.encoder
        patches = encoder.patch_embed(images) + encoder.pos_embed[:, 1:]  # (B, N, D)
        patches = patches.gather(1, seen.unsqueeze(-1).expand(-1, -1, patches.shape[-1]))  # (B, V, D)
        first = (encoder.cls_token + encoder.pos_embed[:, :1]).expand(len(images), -1, -1)  # (B, 1, D)
        tokens = encoder.blocks(torch.cat((first.to(patches.dtype), patches), 1))  # (B, 1 + V, D)
        # One of the two norms is the identity, by the kind of pooling.
        codes: Tensor = encoder.fc_norm(encoder.norm(tokens))
        return codes

    def patchify(self, images: Tensor) -> Tensor:
        """Images (B, C, S, S) as patches (B, N, P), row by row; P runs over rows, columns and then channels."""
        batch, channels, side, _ = images.shape
        count, size = side // self.patch_size, self.patch_size
        cut = images.reshape(batch, channels, count, size, count, size)  # (B, C, rows, p, columns, p)
        # (B, rows, columns, p, p, C) to (B, N, P)
        return cut.permute(0, 2, 4, 3, 5, 1).reshape(batch, count * count, size * size * channels)

    def unpatchify(self, patches: Tensor, channels: int) -> Tensor:
        """The inverse of `patchify`."""
        batch, number, _ = patches.shape
        count, size = round(number**0.5), self.patch_size
        cut = patches.reshape(batch, count, count, size, size, channels)  # (B, rows, columns, p, p, C)
        # (B, C, rows, p, columns, p) to (B, C, S, S)
        return cut.permute(0, 5, 1, 3, 2, 4).reshape(batch, channels, count * size, count * size)
