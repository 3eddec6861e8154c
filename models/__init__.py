"""Text classifiers: features, training, judging, and the runtime that scores batches of texts with numpy alone."""
