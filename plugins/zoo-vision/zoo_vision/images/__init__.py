"""Images as arrays, and plots of them."""
