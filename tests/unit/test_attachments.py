"""Which attachments are uploaded, and what a ticket message says of those that are not."""

import pytest

from ingest import attachments, compose
from ingest.attachments import AttachmentLimits
from ingest.model.message import Attachment, DeliveryReport
from tests.support.factories import parsed

LIMITS = AttachmentLimits(enabled=True, max_bytes=100, refused_types=("*.exe", "application/x-msdownload"))


def attachment(name: str = "scan.pdf", size: int = 4, content_type: str = "application/pdf") -> Attachment:
    return Attachment(filename=name, content_type=content_type, size=size, sha256="a" * 64, part_number=2)


@pytest.mark.parametrize(("size", "refusal"), [(99, None), (100, None), (101, "larger than 100 bytes")])
def test_an_attachment_of_exactly_the_largest_size_is_uploaded(size: int, refusal: str | None) -> None:
    assert LIMITS.refusal(attachment(size=size)) == refusal


@pytest.mark.parametrize(
    "refused", [attachment("Tool.EXE"), attachment("tool", content_type="Application/X-MSDownload")]
)
def test_a_type_that_the_operator_refuses_is_known_by_name_or_content_type_in_any_case(refused: Attachment) -> None:
    assert LIMITS.refusal(refused) is not None


def test_the_mail_that_a_report_returns_stays_out_of_the_ticket() -> None:
    report = DeliveryReport(recipients=(), original_message_id=None)
    assert attachments.has_uploads(parsed(attachments=(attachment(),)))
    assert not attachments.has_uploads(parsed(attachments=(attachment(),), delivery_report=report))


def test_what_is_missing_is_said_by_name_size_and_reason_in_few_lines() -> None:
    missing = [
        compose.MissingAttachment(
            attachment=Attachment(filename=name, content_type="text/plain", size=size, sha256="", part_number=2),
            reason="no",
        )
        for name, size in [("empty.txt", 0), ("a`b.txt", 1_500), ("film.mov", 31_400_000), *[("x.txt", 1)] * 500]
    ]
    lines = compose.compose_appendix(missing).splitlines()
    assert lines[2:5] == [
        "- `empty.txt` (0 bytes): no",
        "- `a\u2019b.txt` (1 KB): no",
        "- `film.mov` (31.4 MB): no",
    ]
    assert lines[-1] == "- and 403 more"
    assert compose.compose_appendix([]) == ""


def test_parts_that_were_not_read_are_told_by_their_number() -> None:
    missing = [compose.MissingAttachment(attachment=attachment("a.pdf"), reason="no")]
    assert compose.compose_appendix(missing, 9_002).splitlines()[-1] == "- and 9,002 more parts that were not read"
    assert compose.compose_appendix([], 1).splitlines()[2:] == ["- and 1 more part that was not read"]
