"""A worker's intake of one mailbox in a process of its own, which kills itself at a chosen point.

python -m tests.support.imap_victim DATABASE_FOLDER PORT USER before-commit|after-commit|never NUMBER
"""

import asyncio
import os
import signal
import sys
from itertools import count
from pathlib import Path

from ingest import log
from ingest.config.imap_accounts import ImapAccount
from ingest.model.envelope import ReceivedMessage
from tests.support.dovecot import PASSWORD
from tests.support.mailboxes import faster, intake


async def main(folder: Path, port: int, user: str, point: str, number: int) -> None:
    account = ImapAccount.model_validate(
        {
            "name": user.partition("@")[0],
            "host": "127.0.0.1",
            "port": port,
            "security": "none",
            "user": user,
            "password": PASSWORD,
            "first": "all",
            "after": "move",
            "move_to": "Done",
        }
    )
    async with intake(folder) as taken:
        real, messages = taken.receiver.receive, count(1)

        async def receive(message: ReceivedMessage) -> str:
            chosen = next(messages) == number
            if chosen and point == "before-commit":
                os.kill(os.getpid(), signal.SIGKILL)
            queue_id = await real(message)
            if chosen and point == "after-commit":
                os.kill(os.getpid(), signal.SIGKILL)
            return queue_id

        taken.receiver.receive = receive  # type: ignore[method-assign] # the place to die at
        await taken.start(
            account, timing=faster(batch_messages=4, lease_seconds=1.0, renew_seconds=0.2), only_worker=point != "never"
        )
        await asyncio.Event().wait()


if __name__ == "__main__":
    log.configure("error")
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4], int(sys.argv[5])))
