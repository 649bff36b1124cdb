"""Model families: Vision Transformers, residual networks, and every architecture of timm."""
