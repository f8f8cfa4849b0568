"""Qt: what is seen. Decisions are in controllers, values in models."""
