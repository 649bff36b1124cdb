"""What image models learn and answer."""
