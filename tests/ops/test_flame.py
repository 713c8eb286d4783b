"""Folded stacks become a picture that says what they say."""

from xml.etree import ElementTree as ET

from ops.bench.flame import Frame, read_stacks, to_svg

STACKS = (
    "thread (1);serve (caretree/cli/serve.py:95);submit (caretree/node/author.py:150) 60",
    "thread (1);serve (caretree/cli/serve.py:95);submit (caretree/node/author.py:151) 20",
    "thread (1);serve (caretree/cli/serve.py:99);_write (grpc/aio/_call.py:500) 19",
    "thread (1);serve (caretree/cli/serve.py:99);rare (caretree/node/peer.py:1) 1",
    "thread (2);_worker (concurrent/futures/thread.py:81) 900",
)


def shares(root: Frame) -> dict[str, int]:
    return {name: called.samples for name, called in root.calls["cli.serve:serve"].calls.items()}


def test_stacks_of_one_function_are_one_bar_and_waiting_threads_none() -> None:
    root = read_stacks(STACKS)
    assert root.samples == 100
    assert shares(root) == {"node.author:submit": 80, "grpc/aio:_write": 19, "node.peer:rare": 1}


def test_bars_are_as_wide_as_their_share_and_tell_it() -> None:
    svg = ET.fromstring(to_svg(read_stacks(STACKS), title="a daemon"))
    named = {
        group[0].text: float(group[1].attrib["width"]) for group in svg if group.tag.endswith("}g")
    }
    assert named["cli.serve:serve: 100.0%"] == 1200.0
    assert named["node.author:submit: 80.0%"] == 960.0


def test_no_stacks_are_an_empty_picture() -> None:
    assert "<svg" in to_svg(read_stacks(()), title="nothing")
