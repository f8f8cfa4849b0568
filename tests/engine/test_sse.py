"""Server-sent events: the examples of the HTML standard, and the same events however the bytes come in."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from layerflow.wire import sse
from layerflow.wire.sse import Message, Parser


def parse(*pieces: bytes) -> list[Message]:
    parser = Parser()
    return [message for piece in pieces for message in parser.feed(piece)]


@pytest.mark.parametrize(
    ("stream", "expected"),
    [
        ("data: YHOO\ndata: +2\ndata: 10\n\n", [("message", "YHOO\n+2\n10", "")]),
        (
            ": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\n",
            [("message", "first event", "1"), ("message", "second event", ""), ("message", " third event", "")],
        ),
        ("data\n\ndata\ndata\n\ndata:", [("message", "", ""), ("message", "\n", "")]),
        ("data:test\n\ndata: test\n\n", [("message", "test", "")] * 2),
        ("event: add\ndata: 73857293\n\nevent: remove\n\ndata: x\n\n", [("add", "73857293", ""), ("message", "x", "")]),
        ("id: 1\n\ndata: a\n\n", [("message", "a", "1")]),
        ("id: 1\ndata: a\n\nid: 2\0\ndata: b\n\n", [("message", "a", "1"), ("message", "b", "1")]),
        ("\ufeffdata: a\n\n", [("message", "a", "")]),
        ("\ufeff\ufeffdata: a\n\n", []),
        ("data: a: b\nnonsense: 5\nretry: x\n\n", [("message", "a: b", "")]),
        (" data: a\n\n", []),
        ("data: cut off", []),
        ("data: cut off\n", []),
        ("data: \x85\u2028still one line\n\n", [("message", "\x85\u2028still one line", "")]),
    ],
)
def test_the_standard_by_example(stream, expected):
    assert parse(stream.encode()) == [Message(*values) for values in expected]


lines = st.sampled_from(
    ["", "", "data: a", "data:é😀", "data", "id: 7", "id", "event: state", ": ping", "retry: 20", "\ufeffdata: b"]
)
streams = st.tuples(st.sampled_from(["", "\ufeff"]), st.lists(st.tuples(lines, st.sampled_from(["\n", "\r", "\r\n"]))))


@given(streams, st.data())
def test_pieces_of_any_size_give_the_same_events(stream, data):
    mark, parts = stream
    whole = (mark + "".join(line + end for line, end in parts)).encode()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=8)))
    pieces = [whole[a:b] for a, b in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
    assert parse(*pieces) == parse(whole) == parse(*(bytes([byte]) for byte in whole))


@given(
    st.lists(st.tuples(st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n"))), lines))
)
def test_what_is_written_is_read(blocks):
    expected, stream = [], ""
    for number, (data, _) in enumerate(blocks):
        stream += f": comment\nid: {number}\n" + "".join(f"data: {line}\n" for line in data) + "\n"
        expected += [Message("message", "\n".join(data), str(number))] if data else []
    assert parse(stream.encode()) == expected
    assert parse(stream.replace("\n", "\r\n").encode()) == expected
    assert parse(stream.replace("\n", "\r").encode()) == expected


@given(st.binary())
def test_any_bytes_are_survived(stream):
    parse(stream, b"\n\n")


def test_the_pause_and_the_last_number_are_told():
    parser = Parser()
    parser.feed(b"retry: 250\nid: 9\n\nid: 10\n")
    assert (parser.retry_ms, parser.last_id) == (250, "9")


@pytest.mark.parametrize("piece", [b"x" * 60, b"data: " + b"x" * 30 + b"\n"])
def test_an_event_without_end_is_refused(monkeypatch, piece):
    monkeypatch.setattr(sse, "MAX_EVENT", 100)
    with pytest.raises(ValueError, match="more than 100 characters"):
        parse(*[piece] * 8)
    assert len(parse(*[b"data: " + b"x" * 90 + b"\n\n"] * 8)) == 8
