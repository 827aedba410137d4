"""Thinking before telling: tasks, hints, the gate before each answer."""
