"""What the box itself says on each rung of the ladder: hints written by people, ready without a model. Pure.

They stand in for an answer that was held back, that did not come, or that nobody should ask a model for.
None of them can hold a key: they know the learner's step and nothing of the answer.
"""

from appliance.errors import N_
from appliance.tutor.ladder import ATTEMPT, NUDGE, PRINCIPLE, SOLUTION, STEP_QUESTION, TWIN

# The step is quoted back; a longer one is cut, so that a pasted page does not come back as a hint.
MAX_STEP_CHARACTERS = 80

NUMBER_HINTS = {
    ATTEMPT: N_("Try it yourself first. Write down what is given and what is asked, and send your first answer."),
    STEP_QUESTION: N_("Look at your step “%(step)s”. How did you get it? Which numbers of the task did you use, and why those?"),
    NUDGE: N_("Read the task once more, slowly. What exactly is asked? Is there something given that you have not used yet?"),
    PRINCIPLE: N_("Which rule is this task about? Find it in your book, write it down in your own words, and use it on your numbers."),
    TWIN: N_("Make an easier twin of the task: put small numbers in place of the real ones and solve that. Then do the same steps with the real numbers."),
    SOLUTION: N_("You have tried a lot. Read the solution, cover it, and write it down once more by yourself. Then take the next task."),
}  # fmt: skip
WORD_HINTS = {
    ATTEMPT: N_("Try it yourself first. Write down what comes to your mind, and send it."),
    STEP_QUESTION: N_("You wrote “%(step)s”. Which words of the task made you think so?"),
    NUDGE: N_("Read the task once more and underline the most important word. What else do you know about it?"),
    PRINCIPLE: N_("Which topic is this from? Open your book there and look for the word that fits the description."),
    TWIN: N_("Think of a similar question that you can answer. How did you know it? Go the same way here."),
    SOLUTION: N_("You have tried a lot. Read the answer, cover it, and write it down by yourself. Then take the next task."),
}  # fmt: skip
WITHOUT_TASK = N_(
    "I do not give results here. Write down what is given and what is asked, do the first step, and ask me about that step."
)
OWN_GUESS = N_("Is that your answer? Send it in the answer field: the box checks it at once.")
TO_TASK = N_(
    "This looks like one of your tasks. Open it under “Tasks”: there the box helps you step by step. If you mean something else, ask in other words."
)
NO_ANSWER = N_("The model found no good words for this. Ask in other words, or ask your teacher.")


def authored(kind: str, rung: int) -> str:
    """Return the sentence of a rung, in English; the door that shows it translates it."""
    return (NUMBER_HINTS if kind == "number" else WORD_HINTS)[rung]


def shown_step(text: str) -> str:
    """Return a learner's step as a hint quotes it."""
    plain = " ".join(text.split())
    return plain if len(plain) <= MAX_STEP_CHARACTERS else plain[:MAX_STEP_CHARACTERS] + "…"
