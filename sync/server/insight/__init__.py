"""What may be seen: sums of ten learners and more, never fewer."""
