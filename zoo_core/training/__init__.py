"""The one training loop and the contract of what it trains."""
