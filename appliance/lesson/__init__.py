"""What happens in a lesson: questions and answers, the class as it is now, the report after it."""
