"""Small real components on which the tests and benchmarks run the loop: three shapes of task that share nothing."""
