"""Which plugins are installed, whether each is sound, and which component a name means.

A plugin is imported here and nowhere else; what its components do is not looked at.
"""
