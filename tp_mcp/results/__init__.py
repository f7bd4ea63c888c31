"""What a model reads: texts within limits, cut by structure, with data from outside fenced."""
