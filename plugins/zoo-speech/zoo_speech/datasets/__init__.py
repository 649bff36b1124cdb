"""Readers of users' files, and the data sets that are fetched by name."""
