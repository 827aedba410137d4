"""The classroom on the LAN: pages, roster, questions, facts, and the box's own health."""
