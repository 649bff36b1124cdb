"""One run from its first step to its card: its folder, publishing, what follows it and what is left of it.

The loop and what it computes belong to `training`, checks before step 1 to `preflight`; nothing here knows a modality.
"""
