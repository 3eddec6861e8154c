"""Functions on texts for Flink: one concept a file, a plain function on a batch and then its Flink wrapper."""
