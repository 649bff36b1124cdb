"""Checkpoints: their cards, where they lie, what their names mean, and how they come from other libraries and go to them.

Reading one needs nothing of training; what a model answers is its task's.
"""
