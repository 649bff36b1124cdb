"""From a recogniser's outputs to texts and times."""
