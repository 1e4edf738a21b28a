"""What all levels of tests share."""

import pytest
from hypothesis import settings

# What goes wrong in a helper is shown as well as in a test.
pytest.register_assert_rewrite("tests.support")

settings.register_profile("steady", deadline=None)
settings.load_profile("steady")
