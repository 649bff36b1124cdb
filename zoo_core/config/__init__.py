"""What a user asks for: recipes and their settings, resolved against the plugins that are installed.

Nothing here trains; a recipe names components and leaves their making to others.
"""
