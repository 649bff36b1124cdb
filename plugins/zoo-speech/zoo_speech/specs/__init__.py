"""What the plugin registers, as data: names, summaries, targets and settings. Free of torch."""
