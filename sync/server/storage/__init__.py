"""What the region keeps, on SQLite or PostgreSQL, and how it is opened."""
