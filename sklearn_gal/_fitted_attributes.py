"""What a fit leaves behind: the record of its rounds, and the attributes that show it."""

from dataclasses import dataclass

import numpy as np
from sklearn.utils import Bunch
from sklearn.utils.validation import check_is_fitted

from ._learners.base import read
from .privacy import composed_epsilon

# Probability with which the bound of advanced composition may fail
DELTA = 1e-6


@dataclass(frozen=True)
class Round:
    """What the label holder keeps of one round; the organizations keep the models."""

    weights: np.ndarray  # (n_paths, n_organizations)
    learning_rates: np.ndarray  # (n_paths,)
    train_loss: float
    validation_loss: float


class FittedRounds:
    """Attributes of a fitted estimator: views of its rounds and organizations."""

    @property
    def _known(self):
        """The organizations that the user knows, which are all but an understudy."""
        return self._organizations[self._first :]

    def __sklearn_is_fitted__(self):
        return hasattr(self, "_rounds")

    @property
    def n_iter_(self) -> int:
        """Number of rounds."""
        check_is_fitted(self)
        return len(self._rounds)

    @property
    def weights_(self) -> np.ndarray:
        """Assistance weights, (n_rounds, n_organizations)."""
        shape = (self.n_iter_, len(self._known))
        weights = [self._paths.shared_out(r.weights)[0] for r in self._rounds]
        return np.array(weights).reshape(shape)

    @property
    def learning_rates_(self) -> np.ndarray:
        """Assisted learning rates, (n_rounds,)."""
        check_is_fitted(self)
        return np.array([r.learning_rates[0] for r in self._rounds])

    @property
    def patterns_(self) -> np.ndarray:
        """Who takes part in each path, (n_patterns, n_organizations)."""
        check_is_fitted(self)
        return self._paths.patterns

    @property
    def pattern_weights_(self) -> np.ndarray:
        """Assistance weights, (n_rounds, n_patterns, n_organizations)."""
        shape = (self.n_iter_, *self.patterns_.shape)
        weights = [self._paths.shared_out(r.weights) for r in self._rounds]
        return np.array(weights).reshape(shape)

    @property
    def pattern_learning_rates_(self) -> np.ndarray:
        """Assisted learning rates, (n_rounds, n_patterns)."""
        shape = (self.n_iter_, len(self.patterns_))
        return np.array([r.learning_rates for r in self._rounds]).reshape(shape)

    @property
    def train_loss_(self) -> np.ndarray:
        """Overarching loss on the training rows, (n_rounds + 1,)."""
        check_is_fitted(self)
        return np.array([self._baseline_losses[0], *(r.train_loss for r in self._rounds)])

    @property
    def validation_loss_(self) -> np.ndarray:
        """Overarching loss that early stopping looks at, (n_rounds + 1,); else empty."""
        check_is_fitted(self)
        losses = [self._baseline_losses[1], *(r.validation_loss for r in self._rounds)]
        return np.array([loss for loss in losses if loss is not None])

    @property
    def privacy_spent_(self) -> Bunch:
        """Privacy budget of a row over the rounds so far."""
        check_is_fitted(self)
        if self._setting["privacy"] is None:
            raise AttributeError("Without privacy, there is no privacy_spent_.")
        n_rounds, epsilon = self._broadcast.n_rounds, self._broadcast.epsilon
        basic = advanced = np.inf if n_rounds else 0.0
        if np.isfinite(epsilon):
            basic = composed_epsilon(epsilon, n_rounds)
            advanced = composed_epsilon(epsilon, n_rounds, DELTA)
        return Bunch(
            n_rounds=n_rounds,
            epsilon_per_round=epsilon,
            epsilon=basic,
            epsilon_advanced=advanced,
            delta=DELTA,
        )

    @property
    def estimators_(self) -> list[list]:
        """Fitted local models, ``[round][organization]``."""
        return [
            [read(organization.models.get(number)) for organization in self._known]
            for number in range(self.n_iter_)
        ]

    @property
    def organization_names_(self) -> list[str]:
        """Names of the organizations."""
        check_is_fitted(self)
        return [organization.name for organization in self._known]

    @property
    def columns_(self) -> list[np.ndarray]:
        """Positions of every organization's columns, a list of arrays."""
        check_is_fitted(self)
        return [organization.columns for organization in self._known]

    @property
    def label_holder_(self) -> str:
        """Name of the organization that holds y."""
        check_is_fitted(self)
        return self._organizations[self._holder].name
