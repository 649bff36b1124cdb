"""Adversarial generators for the zoo."""
