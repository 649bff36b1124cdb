"""Figures, baselines and explanations."""
