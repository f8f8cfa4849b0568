"""The one place where an error becomes a sentence and an exit code."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import click

from layerflow.cli.report import print_json
from layerflow.errors import Interrupted, LayerFlowError, RequestError
from layerflow.wire.errors import ServerError

SERVER_EXIT_CODE = 7  # the server does not run, or refused


def run_command(command: click.Command, arguments: Sequence[str]) -> int:
    """The exit code of one command line of `command`.

    Errors are one sentence on stderr, and with --json an object on stdout too.
    """
    as_json = "--json" in arguments
    quieten_libraries()
    try:
        outcome = command.main(list(arguments), prog_name=command.name, standalone_mode=False)
    except LayerFlowError as error:
        return _fail(command, str(error), error.exit_code, as_json)
    except ServerError as error:
        return _fail(command, str(error), SERVER_EXIT_CODE, as_json)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return RequestError.exit_code
    except click.ClickException as error:
        return _fail(command, _usage_sentence(error), RequestError.exit_code, as_json)
    except click.Abort:
        return _fail(command, "stopped", Interrupted.exit_code, as_json)
    return outcome if isinstance(outcome, int) else 0


def quieten_libraries() -> None:
    """Keeps remarks that no artist can act on off stderr, which is for our own sentences.

    Once bitsandbytes is installed diffusers imports it in every run, and it says which kernel of its four-bit code is
    missing; later it and accelerate tell for each matrix what they were asked to do. Once torchao is, it tells what of
    it is not for this machine, torch what it does another way than torch would now, and diffusers what has moved.
    """
    for name in ("bitsandbytes", "accelerate", "torchao", "torch.utils._pytree", "diffusers.quantizers.torchao"):
        logging.getLogger(name).setLevel(logging.ERROR)


def _usage_sentence(error: click.ClickException) -> str:
    sentence = error.format_message().rstrip(".")
    context = getattr(error, "ctx", None)
    return f"{sentence}; {context.command_path} --help lists what it takes" if context else sentence


def _fail(command: click.Command, sentence: str, exit_code: int, as_json: bool) -> int:
    click.echo(f"{command.name}: {sentence}", err=True)
    if as_json:
        print_json({"error": sentence, "exit_code": exit_code})
    return exit_code
