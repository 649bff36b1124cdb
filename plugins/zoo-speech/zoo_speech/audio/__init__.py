"""Sound from bytes to arrays and features."""
