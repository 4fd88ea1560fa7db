from criserver.cli.pulls import lines


def test_a_line_each() -> None:
    known = {"image": "a:1", "stage": "unpack", "seconds": 12.4, "layers": 1, "total_layers": 3}
    known |= {"bytes": 1_500_000, "total_bytes": 20_000_000}
    unknown = {**known, "stage": "resolve", "total_layers": 0}
    assert list(lines([known, unknown])) == ["a:1  unpack  1/3 layers  1.5/20.0 MB  12 s", "a:1  resolve  12 s"]
