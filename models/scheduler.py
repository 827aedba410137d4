"""Who gets the next rows of the engine, and which cells.

Pure. Requests arrive and leave, each step asks for a plan. Who is next is `fairness`'s to say; a request is
seated when a row, a sequence number and all the cells it may ever need are free. What it shares with
sequences that are there already is never decoded again, and requests that begin alike wait until the first
of them has decoded what they share. In a step every running answer gets its one row first; prompts share
what is left, so a long prompt never holds up the others' text. An answer that is ahead of those who wait
pauses: its cells stay, and nothing is computed twice.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from models.fairness import SLICE_CHARACTERS, Fairness, Rank, cap
from models.memory import Held, Memory
from models.prefixes import MIN_SHARED_TOKENS, common_length, most_shared
from models.protocol import Priority, Span
from models.seats import READING_ROWS, Request, Slot, prompt_span, readings

# Flash attention on the CPU works row by row up to 63 rows: it skips other learners' cells, and a row's
# result is the same in any company, bit for bit. From 64 on it works in tiles that span rows, and an answer
# would depend on who else asks (decision 0012), so a lone prompt takes no larger step either. 60 is the
# largest multiple of 4 below: the packed kernels work on 4 rows at a time and do the remainder one by one.
MOST_STEP_ROWS = 60
# Sequences beside those that may be written: eight lessons, and finished conversations in what is free. A
# slow machine, where answers take turns, has rows it does not use. Each costs a row of logits or two.
SPARE_SEQUENCES = 10
# Every row is held against all cells up to the last used one, whoever's they are: behind 2,560 of others it
# takes a fifth longer (decision 0062). So prompts that are long and share nothing come in waves of so many
# cells, and each wave finds the memory swept.
WAVE_CELLS = 4096
LONG_PROMPT_ROWS = 256


class Scheduler:
    def __init__(self, rows: int, sequences: int, cells: int, *, divisible: bool = True) -> None:
        self.memory = Memory(sequences, cells, divisible=divisible)
        self.fairness = Fairness()
        self.rows = rows  # answers that are written at the same time
        self.step_rows = MOST_STEP_ROWS  # fewer where such a step takes too long (models/calibration)
        self.shared_tokens = 0  # in total: prompt tokens that were not decoded again
        self._waiting: dict[int, Request] = {}  # by number, in the order of arrival
        self._known: dict[int, int] = {}  # tokens in memory when the request arrived, by number
        self._active: dict[int, Slot] = {}  # by sequence
        self._paused: dict[int, Slot] = {}  # by sequence
        self._last_seated: int = Priority.LEARNER
        self._is_wave_full = False

    def queue(self, now: float) -> list[Request]:
        """Those who wait for their first word, in the order in which it would be their turn now."""
        waiting = self._waiting.values()
        return sorted(waiting, key=lambda request: self._rank(request, now - request.arrived))

    @property
    def slots(self) -> Iterator[Slot]:
        """Those with a row, oldest first."""
        return iter(self._active.values())

    @property
    def paused(self) -> Sequence[Slot]:
        return list(self._paused.values())

    @property
    def active(self) -> int:
        return len(self._active)

    def is_idle(self) -> bool:
        return not (self._active or self._waiting or self._paused)

    def find_slot(self, sequence: int) -> Slot:
        return self._active[sequence]

    def is_written(self, sequence: int) -> bool:
        """Is its prompt read, so that its row is an answer's?"""
        return self._active[sequence].prompt_left <= 0

    def rows_to_read(self, request: Request) -> int:
        """Rows its prompt will need, as far as it is known who else reads the same."""
        common = max((slot.commons.get(request.number, 0) for slot in self._active.values()), default=0)
        return len(request.prompt) - min(
            max(common, self._known[request.number]), most_shared(request.prompt)
        )

    # --- coming and going ---

    def arrive(self, request: Request) -> None:
        if not request.prompt or request.max_tokens < 1 or request.cells > self.memory.account.total:
            raise ValueError(f"request {request.number} can never run")
        self._waiting[request.number] = request
        self._known[request.number] = self.find_shared(request.prompt)
        self.fairness.enter(request.priority, request.key)

    def leave(self, number: int, *, keep: bool = False) -> Slot | None:
        """Finished, failed or cancelled: forget the request; return the slot it had.

        With `keep` its tokens stay in memory while there is room: the conversation may go on.
        """
        request = self._waiting.pop(number, None)
        self._known.pop(number, None)
        slot = None
        if request is None:
            slot = next((slot for slot in self._seated() if slot.request.number == number), None)
            if slot is None:
                return None
            request = slot.request
            self._active.pop(slot.sequence, None)
            self._paused.pop(slot.sequence, None)
            if keep:
                self.memory.keep_finished(slot.sequence, slot.tokens[: slot.decoded])
            self.memory.close(slot.sequence)
        self.fairness.leave(request.priority, request.key)
        for other in self._active.values():
            other.commons.pop(number, None)
        return slot

    def _seated(self) -> Iterator[Slot]:
        yield from self._active.values()
        yield from self._paused.values()

    # --- seats ---

    def admit(self, now: float) -> list[Slot]:
        """Give rows to those whose turn has come; return the newly seated."""
        seated: list[Slot] = []
        refused: set[int] = set()
        while candidate := self._next(now, refused):
            rank, chosen = candidate
            if isinstance(chosen, Request) and self._waits_for_next_wave(chosen):
                refused |= {number for number, request in self._waiting.items() if self._is_long(request)}
                continue
            loser = None
            if len(self._active) >= self.rows:
                loser = self._find_loser(rank)
                if loser is None:
                    break
            slot = chosen if isinstance(chosen, Slot) else self._seat(chosen, is_scarce=loser is not None)
            if slot is None:
                # Its turn has come and its cells are not there: no other newcomer may take them.
                refused |= self._waiting.keys()
                continue
            if slot is not chosen:
                seated.append(slot)
            if loser is not None:
                self._pause(loser, now)
            self._paused.pop(slot.sequence, None)
            slot.turn_priority, slot.turn_characters = rank.priority, 0
            self._active[slot.sequence] = slot
            self._last_seated = rank.priority
        return seated

    def _next(self, now: float, refused: set[int]) -> tuple[Rank, Request | Slot] | None:
        """The first in rank among those that may have a row."""
        seated = {slot.request.key for slot in self._seated()}
        candidates: list[tuple[Rank, Request | Slot]] = [
            (self._rank(slot.request, now - slot.paused_at), slot) for slot in self._paused.values()
        ]
        for request in self._waiting.values():
            if request.number in refused or request.key in seated or self._is_held(request):
                continue
            candidates.append((self._rank(request, now - request.arrived), request))
        classes = {rank.priority for rank, _ in candidates}
        candidates = [entry for entry in candidates if self._is_within_cap(entry[0].priority, classes)]
        return min(candidates, key=lambda entry: entry[0], default=None)

    def _rank(self, request: Request, waited: float = 0.0) -> Rank:
        return self.fairness.rank(request.priority, request.key, request.number, waited)

    def _is_within_cap(self, priority: int, classes: set[int]) -> bool:
        if self.rows == 1 and priority == Priority.TEACHER and Priority.LEARNER in classes:
            return self._last_seated != Priority.TEACHER  # half of one row: in turns
        most = cap(priority, classes, self.rows)
        return most >= self.rows or self._count(priority) < most

    def _count(self, priority: int) -> int:
        return sum(slot.turn_priority == priority for slot in self._active.values())

    def _is_held(self, request: Request) -> bool:
        """Is somebody decoding right now what this request would have to decode too?"""
        for slot in self._active.values():
            if slot.prompt_left <= 0:
                continue
            common = slot.commons.get(request.number)
            if common is None:
                common = slot.commons[request.number] = self._will_share(slot, request)
            if (
                slot.decoded < min(common, most_shared(request.prompt))
                and common - slot.shared >= MIN_SHARED_TOKENS
            ):
                return True
        return False

    def _will_share(self, slot: Slot, request: Request) -> int:
        """How much of its prompt the request need not read once this one is read."""
        common = common_length(slot.request.prompt, request.prompt)
        if self.memory.divisible:
            return common
        return slot.checkpoint if slot.checkpoint <= min(common, most_shared(request.prompt)) else 0

    def _waits_for_next_wave(self, request: Request) -> bool:
        """Long prompts that share nothing go in waves; a teacher's waits for nobody's."""
        seated = [slot for slot in self._seated() if slot.own_rows >= LONG_PROMPT_ROWS]
        if not seated:
            self._is_wave_full = False
        if not seated or request.priority == Priority.TEACHER or not self._is_long(request):
            return False
        cells = sum(slot.request.cells - slot.shared for slot in seated)
        self._is_wave_full = self._is_wave_full or cells + request.cells > WAVE_CELLS
        return self._is_wave_full

    def _is_long(self, request: Request) -> bool:
        return len(request.prompt) - self.find_shared(request.prompt) >= LONG_PROMPT_ROWS

    def sweep(self) -> bool:
        """Before a wave: let go of what it would have to be held against; False where nothing may go."""
        if self._active or self._paused or not any(map(self._is_long, self._waiting.values())):
            return False
        return self.memory.sweep((request.prompt for request in self._waiting.values()), LONG_PROMPT_ROWS)

    def _find_loser(self, rank: Rank) -> Slot | None:
        """Whose answer pauses for a request of this rank."""
        worst: tuple[Rank, Slot] | None = None
        crowded = rank.priority == Priority.LEARNER and self._count(Priority.TEACHER) > cap(
            Priority.TEACHER, {Priority.LEARNER}, self.rows
        )
        for slot in self._active.values():
            if not slot.answered:  # its prompt would have been for nothing
                continue
            own = replace(self._rank(slot.request), priority=slot.turn_priority)
            has_had_turn = slot.turn_characters >= SLICE_CHARACTERS
            # A higher class does not wait for the end of a turn, but interrupts nobody twice.
            is_free_to_go = has_had_turn or (rank.priority < own.priority and not slot.pauses)
            is_behind = is_free_to_go and rank.is_ahead_of(own)
            if not is_behind and not (crowded and own.priority == Priority.TEACHER and has_had_turn):
                continue
            if worst is None or own > worst[0]:
                worst = own, slot
        return worst[1] if worst else None

    def _pause(self, slot: Slot, now: float) -> None:
        del self._active[slot.sequence]
        slot.paused_at = now
        slot.pauses += 1
        self._paused[slot.sequence] = slot

    def _seat(self, request: Request, *, is_scarce: bool) -> Slot | None:
        if is_scarce and not self.memory.can_spare_a_sequence():
            return None  # a paused answer must not cost the class its lesson
        opened = self.memory.open(request.prompt, request.cells, self._held())
        if opened is None:
            return None
        sequence, shared = opened
        del self._waiting[request.number], self._known[request.number]
        self.shared_tokens += shared
        share = 1 - shared / len(request.prompt) if request.is_whole_prompt else 1.0
        self.fairness.charge_typed(request.priority, request.key, request.characters * share)
        slot = Slot(request, sequence, list(request.prompt), shared, decoded=shared)
        if not self.memory.divisible:
            slot.checkpoint = self._find_checkpoint(request)
        lesson = slot.checkpoint or request.prefix_tokens or request.head_tokens
        slot.readings = readings(shared, lesson, len(request.prompt))
        return slot

    def _find_checkpoint(self, request: Request) -> int:
        """Where others will go on from: where the caller says, or where the first message ends.

        Or before that, where another prompt went its own way: the next ones may do so, too.
        """
        if request.prefix_tokens:
            return request.prefix_tokens
        running = (common_length(slot.request.prompt, request.prompt) for slot in self._seated())
        common = max(self.memory.shelf.longest_common(request.prompt), *running, 0)
        head = request.head_tokens
        place = head if common >= head or common < MIN_SHARED_TOKENS else common
        return place if MIN_SHARED_TOKENS <= place <= most_shared(request.prompt) else 0

    def _held(self) -> list[Held]:
        return [Held(slot.sequence, slot.tokens, slot.decoded) for slot in self._seated()]

    def find_shared(self, prompt: list[int]) -> int:
        """How many of the prompt's tokens are in memory."""
        return self.memory.find_source(prompt, self._held())[1]

    # --- steps ---

    def plans(self) -> Iterator[list[Span]]:
        """The steps until it is time to look who has come: answers first, then one of a long prompt."""
        spans = self.plan()
        if spans:
            yield spans
        reading = self.plan_reading()
        if reading is not None:
            yield [reading]

    def plan(self) -> list[Span]:
        """The spans of the next step: one row for each running answer, then the ends of prompts."""
        spans = [
            Span(slot.sequence, slot.decoded, slot.tokens[-1:], wants_token=True)
            for slot in self._active.values()
            if slot.prompt_left <= 0
        ]
        room = self.step_rows - len(spans)
        if self.memory.divisible and len(spans) < len(self._active):
            for slot in sorted(self._active.values(), key=self._prefill_order):
                rows = self._short_rows(slot, room)
                if rows <= 0:
                    continue
                spans.append(prompt_span(slot, rows))
                room -= rows
        return spans

    def _short_rows(self, slot: Slot, room: int) -> int:
        """How much of a prompt joins the step; what is left of it is never a single row.

        That row might find itself alone in its step, and would be added up in another order (decision 0033).
        One row more than there is room for does no harm: 61 are still below the tiles of 64.
        """
        whole = min(self._rows_until_cut(slot), slot.short_rows)
        rows = min(whole, room)
        return rows + 1 if rows > 0 and whole - rows == 1 else rows

    def plan_reading(self) -> Span | None:
        """The next rows of a long prompt, for a step of their own; None when nobody has one to read.

        A model with a state reads all its prompts so: llama.cpp would cut a step of several sequences into
        pieces, by who else is there, and some states depend on where they were cut (decision 0053).
        """
        is_alone = not self.memory.divisible
        readers = [
            slot for slot in self._active.values() if slot.long_rows or (is_alone and slot.prompt_left > 0)
        ]
        if not readers:
            return None
        slot = min(readers, key=self._prefill_order)
        long = min(self._rows_until_cut(slot), slot.long_rows, READING_ROWS)
        return prompt_span(slot, long or self._short_rows(slot, self.step_rows))

    def _prefill_order(self, slot: Slot) -> tuple[Rank, float]:
        """Shortest first in each class, so that one long prompt hardly delays the others' first words.

        The counters decided who is seated; a newcomer starts level with whoever has just paid for a long
        prompt, and would sit behind all of it. Who waits too long is no longer young and goes first.
        """
        request = slot.request
        rank = self._rank(request)
        # In text: by tokens Kazakh would always come last.
        left = request.characters * slot.prompt_left / len(request.prompt)
        return Rank(rank.priority, rank.is_young, 0.0 if rank.is_young else rank.counter, 0), left

    def _rows_until_cut(self, slot: Slot) -> int:
        left = slot.prompt_left
        cut = slot.checkpoint - slot.decoded
        # What cannot be divided later must end exactly where the lesson ends.
        return min(left, cut) if cut > 0 else left

    def advance(self, span: Span) -> None:
        """The span is in the engine's memory now."""
        slot = self._active[span.sequence]
        before = slot.decoded
        slot.decoded += len(span.tokens)
        self.memory.account.grow(span.sequence, len(span.tokens))
        lesson = slot.request.prefix_tokens
        place = lesson or slot.checkpoint
        if not before < place <= slot.decoded or self.memory.shelf.covers(slot.request.prompt, place):
            return
        # Others may go on from an unnamed checkpoint; until they do, it goes like a finished conversation.
        keep = self.memory.keep_lesson if lesson else self.memory.keep_finished
        keep(slot.sequence, slot.request.prompt[:place])

    def answer(self, sequence: int, token: int, characters: int = 0) -> bool:
        """Note the chosen token and its text's length; False when it was the last one allowed."""
        slot = self._active[sequence]
        slot.tokens.append(token)
        slot.answered += 1
        slot.turn_characters += characters
        self.fairness.charge_written(slot.request.priority, slot.request.key, characters)
        return slot.answered < slot.request.max_tokens
