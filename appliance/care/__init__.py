"""Keeping the box well: what is wrong with it, copies, and coming back from one."""
