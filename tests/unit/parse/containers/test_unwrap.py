"""What is a container and what only speaks of one."""

from ingest.parse import parse
from tests.support.mime import entity, mail


def test_text_that_mentions_a_container_is_no_container() -> None:
    assert parse(mail(entity("text/plain", "see winmail.dat"))).text == "see winmail.dat"
