"""Colours of shell commands: programs, the commands of ``hashgnn``, options and strings."""

from __future__ import annotations

from pygments.lexer import RegexLexer, bygroups
from pygments.token import Comment, Keyword, Name, Number, Operator, String, Text, Whitespace


class ShellCommands(RegexLexer):
    """A lexer for blocks of commands; Pygments' own leaves commands and options black."""

    name = "shell commands of hashgnn"
    aliases = ("hashgnn-sh",)
    tokens = {  # noqa: RUF012 - Pygments reads it from the class
        "root": [
            (r"\n", Whitespace),
            (r"[ \t]+(?=#)|^(?=#)", Whitespace, "comment"),
            (r"(?m)^([A-Z_]+)(=)", bygroups(Name.Variable, Operator)),
            (
                r"(hashgnn)([ \t]+)(data|interactions|benchmark)([ \t]+)([a-z][\w-]*)",
                bygroups(Name.Builtin, Whitespace, Keyword, Whitespace, Keyword),
                "arguments",
            ),
            (r"(hashgnn)([ \t]+)([a-z][\w-]*)", bygroups(Name.Builtin, Whitespace, Keyword), "arguments"),
            (r"[^\s\"'|&;]+", Name.Builtin, "arguments"),
            (r"[ \t]+", Whitespace),
            (r".", Text),
        ],
        "comment": [(r"#[^\n]*", Comment, "#pop"), (r"", Text, "#pop")],
        "arguments": [
            (r"\\\n", String.Escape),
            (r"\n", Whitespace, "#pop"),
            (r"([ \t]+)(#[^\n]*)", bygroups(Whitespace, Comment)),
            (r"\|\|?|&&?|;", Operator, "#pop"),
            (r"[<>]", Operator),
            (r'"(?:\\.|[^"\\])*"', String),
            (r"'[^']*'", String),
            (r"([ \t]+)(--?[A-Za-z][\w-]*)", bygroups(Whitespace, Name.Attribute)),
            (r"(?<=\s)\d+(?:\.\d+)?(?=\s)", Number),
            (r"[ \t]+", Whitespace),
            (r"[^\s\"'|&;<>\\]+", Text),
            (r".", Text),
        ],
    }
