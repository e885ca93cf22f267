"""How events change the status of a folder."""

from ingest.model.imap_folder import Folder
from ingest.sources.imap.status import FolderCounted, FolderStatus, MessagesStored, ReadingPaused, ReadingResumed

STATUS = FolderStatus(account="support", folder="INBOX", source="imap:support/INBOX")
RECORD = Folder(source="imap:support/INBOX", uid_validity=5, start_uid=0, first_read_at=1.0)


def test_each_event_changes_its_own_field() -> None:
    status = STATUS.after(FolderCounted(RECORD)).after(MessagesStored(2)).after(MessagesStored(3))
    assert (status.record, status.stored, status.paused) == (RECORD, 5, "")
    assert status.after(ReadingPaused("the disk is full")).paused == "the disk is full"
    assert status.after(ReadingPaused("the disk is full")).after(ReadingResumed()) == status


def test_a_failure_keeps_the_time_at_which_the_first_one_began_until_the_folder_opens() -> None:
    failing = STATUS.failed("no answer", 10.0).failed("wrong password", 20.0)
    assert (failing.failure, failing.failing_since) == ("wrong password", 10.0)
    healthy = failing.opened(RECORD)
    assert (healthy.failure, healthy.failing_since, healthy.record) == ("", None, RECORD)
