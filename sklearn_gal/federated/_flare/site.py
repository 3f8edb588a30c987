"""The organization's end of a job."""

import os

from nvflare.collab import collab

from .._config import service_from_config
from .jobs import CONFIG_VARIABLE


class Site:
    """Answer requests with the service of the organization."""

    def __init__(self):
        self._service = service_from_config(os.environ[CONFIG_VARIABLE])

    @collab.publish
    def answer(self, request: bytes) -> bytes:
        """Return the reply of the organization."""
        return self._service.answer(request)
