from lmle_core.comparison import Comparison
from lmle_core.methods.catalogue import METHODS
from lmle_core.methods.titles import TITLES
from tasks.record_comparison import LONGEST, _shortened
from tests.lmle_core.comparison.made import study


def test_a_description_has_whole_lines_and_says_where_the_rest_is() -> None:
    assert _shortened("short") == "short"
    lines = [f"| method {number} | 90.{number} |" for number in range(1000)]
    shown = _shortened("\n".join(lines))
    assert len(shown) <= LONGEST
    *kept, empty, last = shown.split("\n")
    assert kept == lines[: len(kept)] and len(kept) > 300
    assert (empty, last) == ("", "The whole is the artifact `comparison.md`.")


def test_whatever_is_compared_the_description_has_every_method_and_what_the_reference_is_ahead_by() -> None:
    own = {name: method.rules[0] for name, method in METHODS.items()}
    right = {(name, rule): 0.7 for name, method in METHODS.items() for rule in method.rules}
    compared = Comparison.of(*study(right, (0, 1), n=40, attributes=2), ("lmle", own["lmle"]), bootstrap=2)
    overview = compared.overview(TITLES, own)
    assert overview.count("\n| ") == len(METHODS)
    assert _shortened(f"{overview}\n\n{compared.markdown(TITLES)}").startswith(overview)
