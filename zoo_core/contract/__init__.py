"""What a plugin is written against: contracts and the small checks that every plugin shares.

Nothing here reads a disk or knows a modality.
"""
