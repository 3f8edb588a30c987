"""The organization's end of a job."""

import os

from nvflare.apis.fl_constant import FLContextKey
from nvflare.apis.job_def import JobMetaKey
from nvflare.collab import collab

from .._config import service_from_config
from .._service import LABEL_HOLDER
from .jobs import CONFIG_VARIABLE


class Site:
    """Answer requests with the service of the organization."""

    def __init__(self):
        self._service = service_from_config(os.environ[CONFIG_VARIABLE])

    @collab.publish
    def answer(self, request: bytes) -> bytes:
        """Return the reply of the organization."""
        return self._service.answer(request, label_holder=job_submitter())


def job_submitter():
    """Return who submitted the job, as the label holder's server has authenticated it."""
    meta = collab.fl_ctx.get_prop(FLContextKey.JOB_META) or {}
    return str(meta.get(JobMetaKey.SUBMITTER_NAME.value) or LABEL_HOLDER)
