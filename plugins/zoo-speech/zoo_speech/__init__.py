"""Speech for the zoo."""
