"""Copies do the same as their originals, from memory of their own."""

from __future__ import annotations

from conmon import crilog, doze, files, fork, linux, pack, slots

NOW = 1_700_000_000_123_456_789


def test_copy_does_the_same_with_a_code_of_its_own() -> None:
    (stamp,) = pack.copies(crilog.stamp)
    assert stamp is not crilog.stamp
    assert stamp(NOW, b" stdout F ") == crilog.stamp(NOW, b" stdout F ")
    assert stamp.__code__ is not crilog.stamp.__code__


def test_functions_find_copies_of_what_they_name_and_nothing_else() -> None:
    (run,) = pack.copies(doze.run)
    names = run.__globals__
    assert names["linux"] is not linux and names["linux"].clone is not linux.clone
    assert names["linux"].clone.__globals__ is vars(names["linux"])
    assert not hasattr(names["linux"], "pivot_root")
    assert names["Doze"] is not doze.Doze and names["Doze"].run.__globals__ is names
    assert (names["slots"].END, names["_STATUSES"]) == (slots.END, doze._STATUSES)


def test_classes_keep_their_slots() -> None:
    (run,) = pack.copies(doze.run)
    made = run.__globals__["Doze"](7)
    assert (made.pid, made.held, hasattr(made, "__dict__")) == (7, [b"", b""], False)


def test_short_code_is_too_large_for_the_small_object_allocator() -> None:
    (accept,) = pack.copies(linux.set_name)
    assert linux.set_name.__code__.__sizeof__() <= 512 < accept.__code__.__sizeof__()


def test_copies_of_one_call_use_each_other() -> None:
    run, clone = pack.copies(doze.run, linux.clone)
    assert run.__globals__["linux"].clone is clone


def test_errors_pass_through() -> None:
    (read,) = pack.copies(files.read_record)
    assert read("/no/such/record") is files.read_record("/no/such/record") is None
    assert pack.copies(fork.guarded)[0] is not fork.guarded
