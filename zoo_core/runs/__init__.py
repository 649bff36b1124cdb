"""What surrounds the loop of one run: checks before step 1, the run's folder and its lock, publishing, and what follows it.

The loop itself and what it computes belong to `training`, and what a task is to its contract; nothing here knows a modality.
"""
