"""What text models learn and answer, one task a module."""
