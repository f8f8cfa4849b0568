"""Threads, against the chapter about them in Nuke's Python developer guide."""

from __future__ import annotations

import threading

import pytest


def in_thread(call):
    """The thread that runs `call`, and a list of what that gave or raised."""
    found = []

    def run() -> None:
        try:
            found.append(call())
        except Exception as error:  # noqa: BLE001  # looked at by the test
            found.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    return thread, found


def test_other_threads_may_not_use_the_api(nuke):
    """Nuke may crash there; the stand-in always says so, for functions, nodes, knobs and classes."""
    node = nuke.nodes.NoOp()
    knob = node["label"]
    for use in (
        lambda: nuke.createNode("Dot"),
        lambda: nuke.root(),
        lambda: nuke.nodes.Dot(),
        lambda: node["label"],
        lambda: knob.setValue("a"),
        lambda: nuke.Int_Knob("a"),
        lambda: nuke.execute(node, 1, 1),
        lambda: nuke.message("a"),
    ):
        thread, found = in_thread(use)
        thread.join()
        assert isinstance(found[0], RuntimeError) and "executeInMainThread" in str(found[0])


def test_execute_in_main_thread(nuke):
    """Returns at once; the call runs when the main thread is free, its arguments a tuple or one value."""
    from nuke import _stand_in

    thread, found = in_thread(lambda: nuke.executeInMainThread(nuke.createNode, "Dot", {"inpanel": False}))
    thread.join()
    assert found == [None] and nuke.allNodes() == []
    assert _stand_in.pump() == 1 and [node.name() for node in nuke.allNodes()] == ["Dot1"]


def test_execute_in_main_thread_from_the_main_thread_waits_too(nuke):
    """It is queued there as well."""
    from nuke import _stand_in

    nuke.executeInMainThread(nuke.tprint, ("a", "b"))
    assert _stand_in.printed() == []
    _stand_in.pump()
    assert _stand_in.printed() == ["a b"]


def test_with_result(nuke):
    """Waits for the answer; None, and a traceback, where the call raises; in the main thread it would wait for ever."""
    from nuke import _stand_in

    thread, found = in_thread(lambda: nuke.executeInMainThreadWithResult(lambda: nuke.root().name()))
    assert _stand_in.pump_until(lambda: found) == ["Root"]
    thread.join()
    thread, found = in_thread(lambda: nuke.executeInMainThreadWithResult(lambda: 1 / 0))
    assert _stand_in.pump_until(lambda: found) == [None] and len(_stand_in.callback_errors()) == 1
    thread.join()
    with pytest.raises(RuntimeError, match="hang"):
        nuke.executeInMainThreadWithResult(nuke.root)


def test_pump_until_gives_up(nuke):
    """A test that waits for what never comes ends."""
    from nuke import _stand_in

    with pytest.raises(TimeoutError):
        _stand_in.pump_until(lambda: False, timeout_s=0.01)


def test_progress_tasks_are_for_any_thread(nuke):
    """Nuke's own example makes and asks one in a thread; a test presses its button."""
    from nuke import _stand_in

    def work() -> bool:
        task = nuke.ProgressTask("working")
        task.setProgress(50)
        task.setMessage("half")
        while not task.isCancelled():
            pass
        return True

    thread, found = in_thread(work)
    _stand_in.pump_until(_stand_in.tasks)[0].cancelled = True
    thread.join()
    assert found == [True] and _stand_in.tasks()[0].progress == 50
