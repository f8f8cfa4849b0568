"""A LayerFlow node on a farm: `nuke -t farm.py SCRIPT [NODE] [--frames FIRST-LAST] [--submit]`.

Makes the layers of a script's LayerFlow nodes in the foreground, or writes jobs for a farm. Ends with 0, with 1 where
one of them failed, with 2 where the command line is wrong. The version goes up as with Generate; the script itself is
not saved.
"""

from __future__ import annotations

import argparse
import sys
from typing import List, Optional, Sequence


def main(arguments: Sequence[str]) -> int:
    """The exit code."""
    from layerflow.wire import parse_frames

    parser = argparse.ArgumentParser(prog="nuke -t farm.py", description="Makes the layers of LayerFlow nodes.")
    parser.add_argument("script", help="the Nuke script")
    parser.add_argument("node", nargs="?", help="the name of one LayerFlow node; default: all")
    parser.add_argument("--frames", help="FIRST-LAST, both inclusive, instead of those of the node")
    parser.add_argument("--submit", action="store_true", help="write jobs for a farm, as the nodes' tab Farm says")
    given = parser.parse_args(arguments)
    try:
        frames = None if given.frames is None else parse_frames(given.frames)
    except ValueError as error:
        parser.error(str(error))
    return 0 if _all_made(given.script, given.node, frames, given.submit) else 1


def _all_made(script: str, wanted: Optional[str], frames: Optional[Sequence[int]], submits: bool) -> bool:
    from layerflow.wire.errors import ServerError
    from layerflow.wire.run import HostError
    from layerflow.wire.status import DONE
    from layerflow_nuke import host, node

    made: List[bool] = []
    make = node.submit_and_wait if submits else node.generate_and_wait
    try:
        host.open_script(script)
        for group in host.nodes():
            if wanted in (None, host.full_name(group)):
                if frames is not None:
                    first, last = frames
                    host.set_values(group, {"frame_range": "custom", "first_frame": first, "last_frame": last})
                status = make(group)
                made.append(status.state == DONE)
                print(f"{host.full_name(group)}: {status.text}", flush=True)
    except (HostError, ServerError, ValueError, OSError) as error:
        print(f"{wanted or script}: {error}", file=sys.stderr)
        return False
    if not made:
        print(f"{script} has no LayerFlow node {wanted or ''}".rstrip(), file=sys.stderr)
    return bool(made) and all(made)


if __name__ == "__main__":
    from os.path import abspath, dirname

    sys.path.append(dirname(dirname(abspath(__file__))))
    from layerflow_nuke.wire_path import find_wire

    find_wire()
    sys.exit(main(sys.argv[1:]))
