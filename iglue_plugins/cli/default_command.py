"""A group of commands that has a command for arguments which name none."""

from __future__ import annotations

from typing import Any

from typer.core import TyperGroup
from typing_extensions import override


class DefaultCommandGroup(TyperGroup):
    """Takes `iglue runs FOLDER` for `iglue runs list FOLDER`, where there is no command of the folder's name."""

    default = "list"

    @override
    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put the default command before arguments that begin with no command and do not ask for help."""
        asks_for_help = args[:1] == ["--help"]
        if not ctx.resilient_parsing and not asks_for_help and (not args or args[0] not in self.commands):
            args = [self.default, *args]
        return super().parse_args(ctx, args)
