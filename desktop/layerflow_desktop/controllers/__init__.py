"""What happens to the models: tested without a window."""
