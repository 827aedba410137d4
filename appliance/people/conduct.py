"""What every learner reads before the first question: what the AI is, what is kept, what to mind. Pure.

Six short sentences on purpose: a child of nine reads them. The teacher's own lines stand below them.
"""

from appliance.errors import N_

RULES = (
    (N_("You talk to a program."), N_("It is called AI. It is not a person and not your teacher.")),
    (N_("It can be wrong."), N_("Check its answers with your book or your teacher.")),
    (N_("Think first."), N_("It helps you to find your own way; it does not do the work for you.")),
    (N_("Keep your secrets."), N_("Do not write your address, telephone number or family matters.")),
    (
        N_("Your teacher can read it."),
        N_("Questions and answers stay on the box in your school. Your name never leaves it."),
    ),
    (N_("If you feel bad, tell a person."), N_("Go to your teacher or another grown-up you trust.")),
)
