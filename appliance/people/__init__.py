"""Who is who: classes, learners and teachers, how they come in, and how each needs pages to be."""
