"""The doors to the disk, and the budgets of those who read from it.

Whatever comes from elsewhere is measured here before it is read whole; nothing here knows a modality.
"""
