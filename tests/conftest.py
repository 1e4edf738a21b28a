"""What all levels of tests share."""

import pytest
from hypothesis import settings

# What goes wrong in a helper is shown as well as in a test.
pytest.register_assert_rewrite("tests.support")

settings.register_profile("steady", deadline=None)
settings.load_profile("steady")


ROOMS = ("e2e", "wire", "acceptance", "unit")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the files that take long first, so that at the end no process is left alone with one."""

    def place(item: pytest.Item) -> tuple[bool, int]:
        of_module = item.getparent(pytest.Module)
        is_slow = of_module is not None and of_module.get_closest_marker("slow") is not None
        room = item.path.parent.name
        return not is_slow, ROOMS.index(room) if room in ROOMS else len(ROOMS)

    items.sort(key=place)
