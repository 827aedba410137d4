"""Orders to the boxes: written, signed by two of three, released step by step."""
