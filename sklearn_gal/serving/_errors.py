"""Errors that a client is told."""


class RequestError(Exception):
    """A request that is answered with an error.

    Parameters
    ----------
    status : int
        HTTP status of the answer.
    message : str
        What was found, what was expected, and what to do.
    """

    def __init__(self, status, message):
        super().__init__(message)
        self.status = status
        self.message = message
