"""What stands in the record of operators, in words.

The sentences are English here; the page says them in the reader's language.
"""

from sync.errors import N_
from sync.server.people import audit

HALTED_WORDS = {
    "by_hand": N_("halted by hand"),
    "refused": N_("halted by itself: boxes do not take it"),
    "silent": N_("halted by itself: boxes fall silent"),
}
ACTION_WORDS = {
    "operator_added": N_("account made"),
    "operator_reset": N_("account reset"),
    "operator_disabled": N_("account closed"),
    "password_set": N_("first password set"),
    "password_changed": N_("password changed"),
    "second_factor_added": N_("telephone added"),
    "recovery_renewed": N_("recovery codes renewed"),
    "log_in": N_("logged in"),
    "log_in_refused": N_("log-in refused"),
    "log_out": N_("logged out"),
    "codes_made": N_("codes for boxes made"),
    "box_approved": N_("box approved"),
    "box_revoked": N_("box revoked"),
    "box_moved": N_("box moved to another school"),
    "token_added": N_("token for a program made"),
    "token_revoked": N_("token for a program revoked"),
    "backup_written": N_("backup written"),
    "backup_restored": N_("restored from a backup"),
    "keys_published": N_("list of keys published"),
    "order_given": N_("order given by the server's own key"),
    "order_written": N_("order written"),
    "order_exported": N_("order taken to the keys"),
    "order_signed": N_("signature of an order came back"),
    "order_released": N_("order released"),
    "order_withdrawn": N_("draft withdrawn"),
    "order_widened": N_("order told to more boxes"),
    "order_halted": N_("order halted"),
    "desk_written": N_("change of keys written"),
    "desk_exported": N_("change of keys taken to the keys"),
    "desk_signed": N_("signature of a change of keys came back"),
    "desk_released": N_("keys for orders changed"),
    "desk_withdrawn": N_("change of keys withdrawn"),
}
ACTOR_WORDS = {audit.CONSOLE: N_("at the server"), audit.SYSTEM: N_("the server itself")}
DETAIL_WORDS = {
    "codes": N_("codes"),
    "number": N_("order number"),
    "reason": N_("why"),
    "role": N_("role"),
    "rows": N_("rows"),
    "share": N_("of a hundred boxes"),
    "signed_with": N_("key"),
}
VALUE_WORDS = {
    "viewer": N_("viewer"),
    "operator": N_("operator"),
    "auditor": N_("auditor"),
    **HALTED_WORDS,
}
