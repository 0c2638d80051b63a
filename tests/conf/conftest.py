"""Tests of one recipe follow each other, so that a process composes it once for all of them."""

import pytest

pytest.register_assert_rewrite("tests.conf.recipes")


def pytest_collection_modifyitems(items):
    def stem(item):
        return getattr(item, "callspec", None) and item.callspec.params.get("stem")

    places = [place for place, item in enumerate(items) if stem(item)]
    in_order = sorted((items[place] for place in places), key=stem)
    for place, item in zip(places, in_order, strict=True):
        items[place] = item
