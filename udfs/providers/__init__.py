"""Who judges captions and images: AWS or our own models."""
