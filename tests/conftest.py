import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skips the GPU tests on a machine without a GPU, where someone runs pytest by hand; nox selects them itself."""
    marked = [item for item in items if item.get_closest_marker("gpu")]
    if not marked:
        return
    # Only now: a package without torch has no such test.
    import torch

    if not torch.cuda.is_available():
        for item in marked:
            item.add_marker(pytest.mark.skip(reason="needs a CUDA device, and torch can use none here"))
