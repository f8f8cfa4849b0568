"""Tasks that a runner without retries tries again: an environment of Open Job Description around a job's tasks.

Specification: environment-2023-09 with WRAP_ACTIONS (RFC 0008), by which an environment runs a task's command itself.
"""

from __future__ import annotations

from typing import Any

# What it runs comes as arguments and is not taken apart. A stop goes on to the task and is not tried again. sh hears of
# it while it waits for a task in the background; that wait then ends before the task has, so it waits again, and 127
# is what it is told of a task that it has waited for already.
_AGAIN = """left=$1
shift
stops=0
task=
trap 'stops=$((stops + 1)); test -z "$task" || kill -TERM "$task"' TERM
while :; do
  "$@" &
  task=$!
  test "$stops" = 0 || kill -TERM "$task"
  code=127
  heard=
  until [ "$heard" = "$stops" ]; do
    heard=$stops
    wait "$task"
    ended=$?
    test "$ended" = 127 || code=$ended
  done
  if [ "$code" = 0 ] || [ "$stops" != 0 ] || [ "$left" = 0 ]; then exit "$code"; fi
  left=$((left - 1))
  echo "openjd_status: the task ended with $code and is tried again; retries left: $left"
done
"""
_TASK = ("{{WrappedAction.Command}}", "{{WrappedAction.Args}}")  # a list is as many arguments as it holds


def retries_environment(retries: int) -> dict[str, Any]:
    """The template of an environment, ready for JSON, in which a task that fails is tried again `retries` times."""
    plain = {"command": _TASK[0], "args": [_TASK[1]]}
    again = {
        "command": "sh",
        "args": ["{{Env.File.Again}}", str(retries), *_TASK],
        "timeout": "{{WrappedAction.Timeout}}",
        "cancelation": {
            "mode": "{{WrappedAction.Cancelation.Mode}}",
            "notifyPeriodInSeconds": "{{WrappedAction.Cancelation.NotifyPeriodInSeconds}}",
        },
    }
    return {
        "specificationVersion": "environment-2023-09",
        "extensions": ["EXPR", "FEATURE_BUNDLE_1", "WRAP_ACTIONS"],
        "environment": {
            "name": "Retries",
            "description": f"A task that fails is tried again, {retries} times at most",
            "script": {
                "embeddedFiles": [{"name": "Again", "type": "TEXT", "data": _AGAIN}],
                "actions": {"onWrapTaskRun": again, "onWrapEnvEnter": plain, "onWrapEnvExit": plain},
            },
        },
    }
