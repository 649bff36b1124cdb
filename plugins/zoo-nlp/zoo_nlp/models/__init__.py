"""Builders of the text models, one family a module."""
