"""Adversarial models: DCGAN, R3GAN, perceptrons for points, and U-Nets that translate pictures."""
