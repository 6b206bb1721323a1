"""The end of every command: results on stdout, errors as one sentence on stderr, an exit code."""

from __future__ import annotations

import errno
import inspect
import os
import re
import sys
import time
from collections.abc import Collection, Sequence
from contextlib import suppress
from typing import Any

import typer
from typer.core import TyperGroup

from hashgnn._launched import Launched, is_helper
from hashgnn.cli._signals import StopSignals
from hashgnn.errors import HashGNNError, PeerLostError

# Arguments of the library whose option has another name. All others have the same, with dashes.
_OPTION_NAMES = {"timestamp": "--time", "recommend_for_history": "--history"}
# An argument as the library's sentences write it: name="value", name=True, name= or "another name".
_ARGUMENT = re.compile(
    r"""(?<![\w./'"-])(?:(?P<another>another\ )(?P<bare>\w+)
    |(?P<name>\w+)=(?:"(?P<value>\w+)"|True)?
    |(?P<function>recommend_for_history))(?![\w'"/])""",
    re.VERBOSE,
)

# Of several processes that train together, the one that knows most speaks first, and ends: then torchrun ends the
# others before they have waited so long.
_SECONDS_OF_HELPER, _SECONDS_OF_LEFT = 3.0, 5.0

OK, BROKEN, BAD_INPUT, INTERRUPTED = 0, 1, 2, 130
_SIGNALLED = 128  # and the number of the signal


class Group(TyperGroup):
    """The root of the commands, which turns their exceptions into an exit code.

    ==== =====================================================================================
    code when
    ==== =====================================================================================
    0    it worked
    1    ``hashgnn check`` found a fault; or a mistake of the program, or the reader of a pipe went away
    2    bad input: a wrong option, file, id or saved model; nothing was changed
    130  Ctrl-C
    143  SIGTERM; 129 after SIGHUP: 128 and the number of the signal
    ==== =====================================================================================

    After Ctrl-C, SIGTERM or SIGHUP a command says what it keeps and ends in order. A second signal ends it at
    once.

    ``--debug`` or ``HASHGNN_DEBUG=1`` shows the traceback instead of the sentence.
    """

    def main(self, args: Sequence[str] | None = None, *positional: Any, **named: Any) -> Any:
        """Run a command and exit; the signature is that of the base class."""
        given = list(sys.argv[1:] if args is None else args)
        if "--debug" in given or os.environ.get("HASHGNN_DEBUG", "0") not in ("", "0"):
            with StopSignals() as signals:
                try:
                    return super().main(given, *positional, **named)
                except SystemExit as ended:
                    sys.exit(ended.code if signals.received is None else signals.exit_code)
        named["standalone_mode"] = False
        signals = StopSignals()
        try:
            with signals:
                code = self._run(given, positional, named, signals)
        except KeyboardInterrupt:  # it came when the command had ended
            code = _say(signals.sentence, signals.exit_code)
        sys.exit(code)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return a command whose help fits any width; its own sub-commands too."""
        command = super().get_command(ctx, cmd_name)
        for one in [command, *getattr(command, "commands", {}).values()]:
            if one is not None and one.help:
                one.help = reflow(one.help)
        return command

    def _options(self, args: Sequence[str]) -> set[str]:
        """Return the options of the command that the arguments name."""
        command: Any = self
        for name in args:
            if name not in getattr(command, "commands", {}):
                break
            command = command.commands[name]
        return {option for parameter in command.params for option in parameter.opts}

    def _run(
        self, args: list[str], positional: tuple[Any, ...], named: dict[str, Any], signals: StopSignals
    ) -> int:
        try:
            result = super().main(args, *positional, **named)
            sys.stdout.flush()
        except typer.TyperException as error:
            # Without a message, a group was named without a command and its help has been printed.
            return _say(_usage_sentence(error), BAD_INPUT) if error.format_message().strip() else OK
        except HashGNNError as error:
            if isinstance(error, PeerLostError) and Launched.from_environment() is not None:
                time.sleep(_SECONDS_OF_LEFT)
            return _say(as_options(str(error), self._options(args)), BAD_INPUT)
        except (KeyboardInterrupt, typer.Abort):
            return _say(signals.sentence, signals.exit_code)
        except BrokenPipeError:
            return _reader_left()
        except OSError as error:
            if error.errno == errno.EPIPE:
                return _reader_left()
            return _say(_os_sentence(error), BAD_INPUT)
        except MemoryError:
            return _say("not enough memory", BROKEN)
        except Exception as error:
            kind = type(error).__name__
            return _say(f"a mistake of hashgnn, {kind}: {error}; --debug shows where", BROKEN)
        code = result if isinstance(result, int) else OK
        return _say(signals.sentence, signals.exit_code) if code == INTERRUPTED else code


def _say(sentence: str, code: int) -> int:
    if is_helper():
        if code > _SIGNALLED:  # a signal, which the first process has had too
            return code
        time.sleep(_SECONDS_OF_HELPER)
    with suppress(OSError):  # the terminal may be gone
        print(f"hashgnn: {' '.join(sentence.split())}", file=sys.stderr, flush=True)
    return code


def _usage_sentence(error: typer.TyperException) -> str:
    """Return the message of the option parser in the form of the other errors."""
    sentence = error.format_message().strip().rstrip(".")
    context = getattr(error, "ctx", None)
    return sentence if context is None else f"{sentence}; see {context.command_path} --help"


def _os_sentence(error: OSError) -> str:
    where = f"{error.filename}: " if error.filename else ""
    return f"{where}{error.strerror or error}"


def _reader_left() -> int:
    # Buffered output has no reader; without this the interpreter would report an error at exit.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return BROKEN


def as_options(sentence: str, options: Collection[str]) -> str:
    """Write the arguments that an error's sentence names as options of the command that failed.

    The library names an argument as Python does. A sentence stays as it is where the command has no such
    option, so that no remedy names an option that does not exist.

    Parameters
    ----------
    sentence : str
    options : collection of str
        Options of the command, ``--on-unknown`` for instance.

    Examples
    --------
    >>> as_options('99 is unknown; pass on_unknown="skip" or use recommend_for_history', {"--on-unknown", "--history"})
    '99 is unknown; pass --on-unknown skip or use --history'
    >>> as_options('99 is unknown; pass on_unknown="skip"', {"--k"})
    '99 is unknown; pass on_unknown="skip"'
    """

    def written(found: re.Match[str]) -> str:
        name = found["bare"] or found["name"] or found["function"]
        option = _OPTION_NAMES.get(name, f"--{name.replace('_', '-')}")
        if option not in options:
            return found[0]
        return f"{found['another'] or ''}{option}{' ' + found['value'] if found['value'] else ''}"

    return _ARGUMENT.sub(written, sentence)


def reflow(text: str) -> str:
    r"""Return help text with one line a paragraph and one a command; commands are the lines that are indented.

    Examples
    --------
    >>> reflow("One.\n\nTwo lines\nof text.\n\nExamples:\n  hashgnn demo\n\n  hashgnn data list")
    'One.\n\nTwo lines of text.\n\nExamples:\n$ hashgnn demo\n$ hashgnn data list'
    """
    joined = re.sub(r"(?<!\n)\n(?![\n ])", " ", inspect.cleandoc(text))
    return re.sub(r"\n+ +", "\n$ ", joined)
