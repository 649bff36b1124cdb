"""The one training loop and what it needs: order, optimizers, precision, ranks, random streams, saved state.

What is trained stands in `contract`, and what surrounds a run in `runs`; nothing here knows a modality.
"""
