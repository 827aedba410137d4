"""Keeping the region well: backups, moves, old days, keys of the month."""
