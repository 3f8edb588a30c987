"""Support of scikit-learn's callbacks, which are new in version 1.9."""

from ._method.observers import Observer

try:
    from sklearn.callback import CallbackSupportMixin, with_callbacks
except ImportError:

    class CallbackSupportMixin:  # type: ignore[no-redef]
        """Empty mixin for scikit-learn < 1.9, which has no callbacks."""

    def with_callbacks(method):
        """Return the method unchanged."""
        return method


class FitReport(Observer):
    """Calls the callbacks of an estimator when its fit and its rounds begin and end."""

    def __init__(self, estimator, X, y, sample_weight, max_iter):
        self._arguments = {"estimator": estimator, "X": X, "y": y}
        if sample_weight is not None:
            self._arguments["metadata"] = {"sample_weight": sample_weight}
        self._context = None
        if hasattr(estimator, "_init_callback_context"):
            self._context = estimator._init_callback_context(max_subtasks=max_iter)

    def begin_fit(self):
        """Report that the fit begins."""
        if self._context is not None:
            self._context.call_on_fit_task_begin(**self._arguments)

    def after_round(self, descent):
        """Report a round; return "callback" if a callback asks to stop the fit."""
        if self._context is None:
            return None
        round_context = self._context.subcontext(task_name="round")
        round_context.call_on_fit_task_begin(**self._arguments)
        stops = round_context.call_on_fit_task_end(
            **self._arguments,
            reconstruction_attributes=lambda: {"_model": descent.model.copy()},
        )
        return "callback" if stops else None

    def end_fit(self):
        """Report that the fit has ended."""
        if self._context is not None:
            self._context.call_on_fit_task_end(
                **self._arguments, reconstruction_attributes={}
            )
