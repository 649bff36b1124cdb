"""What each way of learning encodes, computes, measures and answers."""
