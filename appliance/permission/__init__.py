"""Who may use AI when: stops, rules and exams, and the one place that decides."""
