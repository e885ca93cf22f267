"""A local stand-in for the ticket API: to try the worker out, and to test it against something that answers back.

It answers what the API's documentation says and no more, keeps what was posted (``state.py``), makes trouble on order
(``faults.py``), and shows the tickets on a small page.
"""

from ingest.sandbox.app import create_app
from ingest.sandbox.schema import Behaviour, Fault
from ingest.sandbox.server import Sandbox, run
from ingest.sandbox.state import START_DATA, SandboxState

__all__ = ["START_DATA", "Behaviour", "Fault", "Sandbox", "SandboxState", "create_app", "run"]
