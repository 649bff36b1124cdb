"""What adversarial models learn and answer."""
