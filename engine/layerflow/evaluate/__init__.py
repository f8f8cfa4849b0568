"""Scores of a model on clips whose layers are known."""
