"""The way up: what a region forwards, what the nation adds up."""
