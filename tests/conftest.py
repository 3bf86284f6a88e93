"""What all tests share: every asynchronous one runs on asyncio, on uvloop and on Trio."""

import pytest


@pytest.fixture(
    params=[
        pytest.param(("asyncio", {"use_uvloop": False}), id="asyncio"),
        pytest.param(("asyncio", {"use_uvloop": True}), id="uvloop"),
        pytest.param(("trio", {}), id="trio"),
    ]
)
def anyio_backend(request):
    """The event loop of a test marked ``anyio``."""
    return request.param
