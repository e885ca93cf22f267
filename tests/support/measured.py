"""What a process that a test starts needs in its environment to have its coverage measured.

Most tests give their processes an environment made from nothing, so that no setting of the developer's gets in.
"""

import os

MEASURED = {name: value for name, value in os.environ.items() if name.startswith("COVERAGE_")}
"""The variables that coverage.py sets for its patch ``subprocess``; empty when nothing is measured."""
UNMEASURED = {name: value for name, value in os.environ.items() if not name.startswith("COV_") and name not in MEASURED}
"""Everything else: for a test of what a process imports, which would see the imports of coverage.py."""
