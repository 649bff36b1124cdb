"""Tables and lines of users' files: delimited text, JSON lines and Parquet, streamed, checked, each bad row named.

What a column means belongs to who reads it; every reader here has a bound.
"""
