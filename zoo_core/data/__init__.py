"""What all readers of users' data share: folders, tables, splits, files by their first bytes, and bad samples.

Readers of one modality belong to its plugin; here nothing knows what a sample means.
"""
