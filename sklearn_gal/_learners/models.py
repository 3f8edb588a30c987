"""A fitted booster in LightGBM's own words, until somebody wants the estimator."""

from collections import OrderedDict, defaultdict
from copy import copy
from typing import Any

from lightgbm import Booster


class WrittenBooster:
    """A fitted `LGBMRegressor` as the text of its trees.

    A round leaves one for each organization, output and fold. Predictions merge the texts,
    so that most are never read one by one, which takes as long as a third of growing a
    small tree.

    Parameters
    ----------
    text : str
        The model as `Booster.model_to_string` gives it.
    settings : dict
        Parameters that differ from those of `template`: seeds.
    template : LGBMRegressor
        Fitted to the same columns with the same parameters.
    """

    def __init__(self, text, settings, template):
        self._text = text
        self._settings = settings
        self._template = template
        self._estimator: Any = None

    def model_to_string(self):
        """The model as text, as `Booster.model_to_string` gives it."""
        text = self._text
        return self._estimator.booster_.model_to_string() if text is None else text

    @property
    def params(self):
        """The booster's parameters of training."""
        return {**self._template.booster_.params, **self._settings}

    def read(self):
        """The estimator, the same one in every call; from now on it is the model."""
        text = self._text
        if text is not None:
            self._estimator = self._made_of(text)
            self._text = None  # after the other, for who reads at the same time
        return self._estimator

    def _made_of(self, text):
        template = self._template
        state = {**vars(template.booster_), "_handle": text}
        booster = Booster.__new__(Booster)  # as one comes back from a pickle
        booster.__setstate__(state)
        booster.params = self.params
        booster.best_score = defaultdict(OrderedDict)
        estimator = copy(template)
        estimator._other_params = dict(estimator._other_params)
        estimator._Booster = booster
        return estimator.set_params(**self._settings)
