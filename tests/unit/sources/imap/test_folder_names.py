"""What is said of a folder that does not exist."""

import pytest

from ingest.sources.imap.folder_names import missing_folder


@pytest.mark.parametrize("existing", ["INBOX.Archive", "INBOX/Archive", "Archive", "[Gmail]/archive"])
def test_the_folder_of_the_same_name_in_its_namespace_is_hinted_at(existing: str) -> None:
    name = "INBOX.Archive" if existing == "Archive" else "Archive"
    assert f"did you mean {existing!r}" in missing_folder(name, ["INBOX", existing])


def test_the_folders_that_exist_are_listed_up_to_a_bound() -> None:
    said = missing_folder("Done", [f"f{number}" for number in range(25)])
    assert "'f0', 'f1'" in said
    assert "and 5 more" in said
    assert "did you mean" not in said
