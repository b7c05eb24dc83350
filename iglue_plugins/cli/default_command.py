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
        names_command = args[0] in (*self.commands, "--help") if args else ctx.resilient_parsing  # completion of a name
        return super().parse_args(ctx, args if names_command else [self.default, *args])

    @override
    def shell_complete(self, ctx: Any, incomplete: str) -> list[Any]:
        """Complete the options of the default command too, where no command is named yet."""
        found = super().shell_complete(ctx, incomplete)
        if not incomplete.startswith("-"):
            return found
        known = {item.value for item in found}
        return [*found, *(item for item in self._default_completions(ctx, incomplete) if item.value not in known)]

    def _default_completions(self, ctx: Any, incomplete: str) -> list[Any]:
        command = self.commands[self.default]
        with command.make_context(self.default, [], parent=ctx, resilient_parsing=True) as inner:
            return command.shell_complete(inner, incomplete)
