"""The doors to the disk and to what surrounds a process, and the budgets of those who read.

Whatever comes from elsewhere is measured here before it is read whole; nothing here knows a checkpoint or a modality.
"""
