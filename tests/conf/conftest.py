"""Assertions in recipes.py report what differs, as those in tests do."""

import pytest

pytest.register_assert_rewrite("tests.conf.recipes")
