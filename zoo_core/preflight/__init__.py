"""Everything before step 1: the run's folder and its lock, its identity, its parts, and a trial of each.

What would fail after training fails here; nothing here changes a draw, a buffer or a weight.
"""
