"""Batches in use: read, judged against the run that made the model, kept in a history, and reported."""
