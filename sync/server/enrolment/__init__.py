"""Which boxes belong to the region."""
