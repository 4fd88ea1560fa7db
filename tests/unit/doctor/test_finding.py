from criserver.doctor.finding import Severity, error, note, ok, warning


def test_each_kind() -> None:
    assert ok("a").severity is Severity.OK
    assert note("a", "b").severity is Severity.NOTE
    assert warning("a", "b", "c").severity is Severity.WARNING
    assert error("a", "b", "c").severity is Severity.ERROR
    assert (error("a", "b", "c").what, error("a", "b", "c").meaning, error("a", "b", "c").fix) == ("a", "b", "c")
