"""Which model runs here, is it genuine, and many learners on it at once."""
