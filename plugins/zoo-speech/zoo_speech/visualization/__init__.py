"""Plots and subtitles of what was heard."""
