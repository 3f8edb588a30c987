"""What others see of a fit while it runs: scikit-learn's callbacks (new in 1.9)."""

try:
    from sklearn.callback import CallbackSupportMixin, with_callbacks
except ImportError:

    class CallbackSupportMixin:  # type: ignore[no-redef]
        """scikit-learn before 1.9 has no callbacks."""

    def with_callbacks(method):
        """Leave the method as it is."""
        return method


class FitReport:
    """Tells the callbacks of an estimator about its fit and the rounds of it."""

    def __init__(self, estimator, X, y, sample_weight, max_iter):
        self._about = {"estimator": estimator, "X": X, "y": y}
        if sample_weight is not None:
            self._about["metadata"] = {"sample_weight": sample_weight}
        self._context = None
        if hasattr(estimator, "_init_callback_context"):
            self._context = estimator._init_callback_context(max_subtasks=max_iter)

    def begin(self):
        """The fit begins."""
        if self._context is not None:
            self._context.call_on_fit_task_begin(**self._about)

    def round(self, fitted_so_far):
        """A round ended; `fitted_so_far` returns the attributes that make it predict.

        Returns
        -------
        stop : bool
            Whether a callback asks to stop the fit.
        """
        if self._context is None:
            return False
        round_context = self._context.subcontext(task_name="round")
        round_context.call_on_fit_task_begin(**self._about)
        return round_context.call_on_fit_task_end(
            **self._about, reconstruction_attributes=fitted_so_far
        )

    def end(self):
        """The fit ended."""
        if self._context is not None:
            self._context.call_on_fit_task_end(**self._about, reconstruction_attributes={})
