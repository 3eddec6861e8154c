"""What disagrees in the accounts is told in full."""

import pytest

pytest.register_assert_rewrite("tests.faults.accounts", "tests.e2e.accounts_social")
