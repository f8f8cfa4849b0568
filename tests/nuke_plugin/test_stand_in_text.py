"""The small languages of scripts: words and quotes, and expressions."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a  b\n c", ["a", "b", "c"]),
        ('{a {b c}} "d e" f\\ g', ["a {b c}", "d e", "f g"]),
        (r'"\[value x] \"q\" \{ \} \\ \$ \n\101"', ['[value x] "q" { } \\ $ \nA']),
        (r"{a \} b}", [r"a \} b"]),
        ('""', [""]),
    ],
)
def test_words(nuke, text, words):
    """Tcl's words: bare, in quotes where a backslash means something, in braces where it does not."""
    from nuke import _tcl

    assert _tcl.words(text) == words


@pytest.mark.parametrize(
    ("text", "quoted"),
    [("plain", "plain"), ("", '""'), ("a b", '"a b"'), ("[a]", r'"\[a]"'), ("é", "é"), ("#1", "#1"), ("-1", "-1")],
)
def test_quoting(nuke, text, quoted):
    """Only what needs it is quoted, and a closing bracket is not escaped, as in Nuke's own files."""
    from nuke import _tcl

    assert _tcl.quoted(text) == quoted


@pytest.mark.parametrize(
    ("expression", "answer"),
    [
        ("1 + 2 * 3", 7),
        ("!0 && (2 > 1)", 1),
        ("-2 - -3", 1),
        ("1 ? 2 : 3", 2),
        ("0 ? 2 : 1 ? 4 : 5", 4),
        ("frame / 2", 5),
        ("7 % 4 == 3 || 0", 1),
        ("[expr 2*3] + [frame]", 16),
        ("root.last_frame", 100),
    ],
)
def test_expressions(nuke, expression, answer):
    """Nuke's own expressions: numbers only."""
    nuke.frame(10)
    assert nuke.expression(expression) == answer


@pytest.mark.parametrize("wrong", ["1 +", "(", "a b", "1 $ 2"])
def test_wrong_expressions(nuke, wrong):
    """A RuntimeError."""
    with pytest.raises(RuntimeError):
        nuke.expression(wrong)
