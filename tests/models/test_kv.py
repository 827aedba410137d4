"""Cells: shared ones are counted once, and none is lost."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.kv import CellAccount


def test_a_promise_is_not_given_twice():
    account = CellAccount(10)
    assert account.promise(1, 6)
    assert not account.promise(2, 5)
    with pytest.raises(ValueError, match="sequence 1"):
        account.promise(1, 1)
    account.grow(1, 4)
    assert (account.used, account.promised, account.free) == (4, 2, 4)
    account.release(1)
    account.release(1)  # harmless
    assert account.free == 10


def test_nobody_grows_beyond_the_promise():
    account = CellAccount(10)
    account.promise(1, 3)
    with pytest.raises(ValueError, match="nobody promised"):
        account.grow(1, 4)


def test_a_shared_prefix_is_counted_once_and_outlives_its_first_holder():
    account = CellAccount(1000)
    account.promise(0, 500)
    account.grow(0, 500)
    for learner in range(1, 31):
        account.share(0, learner, 480)
        assert account.promise(learner, 10)
        account.grow(learner, 10)
    assert account.used == 500 + 30 * 10
    account.release(0)
    assert account.used == 480 + 30 * 10
    for learner in range(1, 31):
        assert account.freed_by([learner]) == (10 if learner < 30 else 490)
        account.release(learner)
    assert account.free == 1000


def test_a_promise_that_is_broken_leaves_what_is_held():
    account = CellAccount(10)
    account.promise(1, 8)
    account.grow(1, 3)
    account.break_promise(1)
    assert (account.used, account.promised) == (3, 0)


actions = st.lists(
    st.tuples(
        st.sampled_from(["promise", "grow", "share", "adopt", "release"]),
        st.integers(0, 5),
        st.integers(0, 5),
        st.integers(1, 20),
    ),
    max_size=80,
)


@given(actions)
def test_the_account_agrees_with_one_that_knows_every_cell(schedule):
    account = CellAccount(60)
    cells: dict[int, list[object]] = {}
    for action, sequence, other, count in schedule:
        try:
            if action == "promise":
                account.promise(sequence, count)
            elif action == "grow":
                account.grow(sequence, count)
                cells.setdefault(sequence, []).extend(object() for _ in range(count))
            elif action == "share":
                account.share(sequence, other, count)
                cells[other] = cells[sequence][:count]
            elif action == "adopt" and account.adopt(sequence, count):
                cells[sequence] = [object() for _ in range(count)]
            elif action == "release":
                account.release(sequence)
                cells.pop(sequence, None)
        except ValueError:
            pass  # refused; the books must be as before
        assert account.used == len({cell for held in cells.values() for cell in held})
        assert account.reserved <= account.total
        both = {cell for held in (sequence, other) for cell in cells.get(held, ())}
        rest = {cell for held, own in cells.items() if held not in (sequence, other) for cell in own}
        assert account.freed_by({sequence, other}) == len(both - rest)
    for sequence in range(6):
        account.release(sequence)
    assert account.free == 60
