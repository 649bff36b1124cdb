"""Checkpoint folders of other libraries: how each is read and written."""
