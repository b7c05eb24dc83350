"""Sending files to a repository of a hub, all of them in one commit."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import CommitOperationAdd, HfApi, constants, get_token
from huggingface_hub.errors import HfHubHTTPError, HFValidationError
from huggingface_hub.utils import disable_progress_bars, validate_repo_id  # type: ignore[attr-defined]

from iglue_plugins.runs.sharing.public_files import PublicFiles
from iglue_plugins.utils.errors import UserError, first_line
from iglue_plugins.utils.model_sources import HUB_ID
from iglue_plugins.utils.notices import quiet_libraries
from iglue_plugins.utils.progress import prints_lines

NOT_ALLOWED = (401, 403)  # HTTP


@dataclass(frozen=True)
class Destination:
    """Where files are sent.

    Attributes:
        hub_id: The repository, OWNER/NAME.
        private: Whether it has to be private.
        branch: The branch; None for main.
    """

    hub_id: str
    private: bool = False
    branch: str | None = None

    def __post_init__(self) -> None:
        try:
            validate_repo_id(self.hub_id)
        except HFValidationError as error:
            raise UserError(f"'{self.hub_id}' is no hub id ({first_line(error)}); name it as OWNER/NAME") from error
        if not HUB_ID.fullmatch(self.hub_id):
            raise UserError(f"'{self.hub_id}' is no hub id; name it as OWNER/NAME, such as my-name/xuniter-xvnli")

    def describe(self) -> str:
        """Say where files go, and who sees them."""
        branch = f", branch {self.branch}" if self.branch else ""
        seen = "private" if self.private else "public if it is new, otherwise as it is"
        return f"{self.hub_id}{branch}: {seen}"


def upload(public: PublicFiles, to: Destination, message: str) -> str:
    """Send files in one commit, to a repository and a branch that are made if need be.

    Files that the repository has under other names stay.

    Args:
        public: The files.
        to: Where they go.
        message: The message of the commit.

    Returns:
        The address of the commit.

    Raises:
        UserError: There is no token or no network, the repository is somebody else's, or it is public where it has to
            be private.
    """
    quiet_libraries()
    if prints_lines():
        disable_progress_bars()
    if constants.HF_HUB_OFFLINE:
        raise UserError("HF_HUB_OFFLINE is set, so that nothing can be sent; unset it, or add --dry-run")
    if get_token() is None:
        raise UserError("there is no token for the hub; log in by `hf auth login`, or set HF_TOKEN")
    api, operations = HfApi(), [CommitOperationAdd(file.name, _content(file.content)) for file in public.files]
    with _explained(to):
        api.create_repo(to.hub_id, private=to.private or None, exist_ok=True)
        if to.private and not api.model_info(to.hub_id).private:
            raise UserError(
                f"{to.hub_id}: is there already and public, so nothing was sent; name another repository, or make it "
                "private first"
            )
        if to.branch:
            api.create_branch(to.hub_id, branch=to.branch, exist_ok=True)
        return str(api.create_commit(to.hub_id, operations, commit_message=message, revision=to.branch).commit_url)


def _content(content: bytes | Path) -> bytes | str:
    return content if isinstance(content, bytes) else str(content)


@contextmanager
def _explained(to: Destination) -> Iterator[None]:
    """Turn the errors of the hub's client into a sentence."""
    try:
        yield
    except UserError:
        raise
    except HfHubHTTPError as error:
        status = error.response.status_code
        if status in NOT_ALLOWED:
            raise UserError(
                f"{to.hub_id}: the hub refuses your token (HTTP {status}); see that it may write, and that the "
                "repository is yours, or name another one"
            ) from error
        raise UserError(f"{to.hub_id}: the hub answers with an error ({first_line(error)}); try again") from error
    except Exception as error:  # the hub's client and what it sends by raise almost any error
        said = ": ".join(filter(None, map(first_line, filter(None, (error, error.__cause__)))))
        raise UserError(
            f"{to.hub_id}: {constants.ENDPOINT} cannot be reached, or sending failed "
            f"({said or type(error).__name__}); try again"
        ) from error
