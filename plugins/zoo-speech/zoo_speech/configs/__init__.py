"""Settings of what the plugin registers, one module for each kind. Free of torch."""
