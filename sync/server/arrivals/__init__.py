"""What boxes bring: envelopes by line and stick, stored before they are acknowledged."""
