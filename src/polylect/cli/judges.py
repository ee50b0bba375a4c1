"""The judges that ``polylect judge`` and ``polylect grade`` are given: folders and servers."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from polylect.base import InputError

if TYPE_CHECKING:
    from polylect.engine import Server
    from polylect.runs import Files


def judge_models(command: str, options: Any) -> dict[str, "Files | Server"]:
    """The judges of ``--judge`` by name, in order.

    Raises:
        InputError: no judge, two of one name, no such folder, or not an address.
    """
    judges = {_name(judge): _model(judge, options) for judge in options.judge}
    if len(judges) != len(options.judge) or not judges:
        raise InputError(f"{command}: name each judge once", "--judge MODEL --judge OTHER")
    return judges


def _name(judge: str) -> str:
    """What the rows call a judge: the served model's name, or the folder's."""
    from polylect.engine import is_address

    if is_address(judge):
        return judge.partition("#")[2] or judge
    return Path(judge).resolve().name


def _model(judge: str, options: Any) -> "Files | Server":
    """The judge's files, or its server.

    Raises:
        InputError: no such folder, or not an address.
    """
    from polylect.checkpoints import Checkpoint
    from polylect.engine import Server, is_address
    from polylect.runs import Files

    if not is_address(judge):
        return Files(Checkpoint.open(Path(judge)).path)
    url, _, name = judge.partition("#")
    if not name:
        from polylect.engine import served_model

        name = served_model(url)
    return Server(
        url,
        name,
        concurrency=options.concurrency,
        retries=options.retries,
        timeout_seconds=options.timeout_seconds,
        max_requests=options.max_requests,
        max_tokens=options.max_total_tokens,
    )
