"""The box itself: its codes, its screen, its names on the network."""
