"""Images for the zoo."""
