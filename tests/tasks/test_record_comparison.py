from tasks.record_comparison import LONGEST, _shortened


def test_a_description_has_whole_lines_and_says_where_the_rest_is() -> None:
    assert _shortened("short") == "short"
    lines = [f"| method {number} | 90.{number} |" for number in range(1000)]
    shown = _shortened("\n".join(lines))
    assert len(shown) <= LONGEST
    *kept, empty, last = shown.split("\n")
    assert kept == lines[: len(kept)] and len(kept) > 300
    assert (empty, last) == ("", "The whole is the artifact `comparison.md`.")
