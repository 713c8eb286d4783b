import pytest
from caretree.config.lines import key_lines, line_of


def test_every_key_is_found_on_its_line() -> None:
    text = '# comment\n[a]\nx = 1\n\n  y = "z = 2" # w = 3\n[b.c]\nx = 4\n'

    lines = key_lines(text)

    assert lines == {
        ("a",): 2,
        ("a", "x"): 3,
        ("a", "y"): 5,
        ("b", "c"): 6,
        ("b", "c", "x"): 7,
    }


def test_each_table_of_an_array_has_lines_of_its_own() -> None:
    text = "[[p]]\nn = 1\n[p.q]\nm = 1\n[[p]]\nn = 2\n[p.q]\nm = 2"

    lines = key_lines(text)

    assert lines[("p", 0, "n")] == 2
    assert lines[("p", 0, "q", "m")] == 4
    assert lines[("p", 1)] == 5
    assert lines[("p", 1, "n")] == 6
    assert lines[("p", 1, "q", "m")] == 8


@pytest.mark.parametrize(
    "value",
    [
        '"""\nfalse = 1\n"quoted"\n"""',
        "'''\nfalse = 1\n'''",
        "[\n  1, # false = 1\n  2,\n]",
        '{ x = "}" }',
        '"\\"#["',
        "'[{'",
        '""',
    ],
)
def test_what_looks_like_a_key_within_a_value_is_none(value: str) -> None:
    text = f"a = {value}\nb = 2\n"

    lines = key_lines(text)

    assert lines == {("a",): 1, ("b",): 2 + value.count("\n")}


def test_quoted_and_dotted_keys_are_read_as_toml_reads_them() -> None:
    lines = key_lines('"a b".c = 1\n\'d#e\' = 2\n["x.y"]\nz . w = 3')

    assert lines[("a b", "c")] == 1
    assert lines[("d#e",)] == 2
    assert lines[("x.y", "z", "w")] == 4


def test_an_unknown_path_has_the_line_of_what_stands_around_it() -> None:
    lines = key_lines("[a]\nx = { y = 1 }")

    assert line_of(lines, ("a", "x", "y")) == 2
    assert line_of(lines, ("a", "absent")) == 1
    assert line_of(lines, ("absent",)) is None
