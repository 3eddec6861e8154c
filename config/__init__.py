"""What users edit: the words that a background check looks for, and the weights of its score."""
