"""The attributes of a fitted estimator: views of its model and of its fit."""

import numpy as np
from sklearn.utils import Bunch
from sklearn.utils.validation import check_is_fitted

from ._learners import to_estimator
from ._method.model import AdditiveModel
from ._warm_start import FitState
from .privacy import composed_epsilon

# Probability with which the bound of advanced composition may fail
DELTA = 1e-6


class FittedAttributes:
    """Attributes of a fitted estimator, read from its model and its state."""

    _model: AdditiveModel
    _state: FitState

    def __sklearn_is_fitted__(self):
        return hasattr(self, "_model")

    def _held_out_raw(self):
        """Return raw predictions of the training rows, each held out."""
        check_is_fitted(self)
        self._state.check_held_out()
        return self._state.held_out

    @property
    def n_iter_(self) -> int:
        """Number of rounds."""
        check_is_fitted(self)
        return len(self._model.rounds)

    @property
    def baseline_prediction_(self) -> np.ndarray:
        """Raw prediction before the first round, (n_outputs,)."""
        check_is_fitted(self)
        return self._model.baseline

    @property
    def weights_(self) -> np.ndarray:
        """Assistance weights, (n_rounds, n_organizations)."""
        return self.pattern_weights_[:, 0]

    @property
    def learning_rates_(self) -> np.ndarray:
        """Assisted learning rates, (n_rounds,)."""
        return self.pattern_learning_rates_[:, 0]

    @property
    def patterns_(self) -> np.ndarray:
        """Which organizations are in each pattern, (n_patterns, n_organizations)."""
        check_is_fitted(self)
        return self._model.patterns.organizations

    @property
    def pattern_weights_(self) -> np.ndarray:
        """Assistance weights, (n_rounds, n_patterns, n_organizations)."""
        shape = (self.n_iter_, *self.patterns_.shape)
        weights = np.zeros(shape)
        for each, of_round in zip(self._model.rounds, weights, strict=True):
            owners = self._model.patterns.owner[each.participants]
            for owner, column in zip(owners, each.weights.T, strict=True):
                of_round[:, owner] += column
        return weights

    @property
    def pattern_learning_rates_(self) -> np.ndarray:
        """Assisted learning rates, (n_rounds, n_patterns)."""
        shape = (self.n_iter_, len(self.patterns_))
        return np.array([each.rates for each in self._model.rounds]).reshape(shape)

    @property
    def train_loss_(self) -> np.ndarray:
        """Overarching loss on the training rows, (n_rounds + 1,)."""
        check_is_fitted(self)
        losses = (each.train_loss for each in self._model.rounds)
        return np.array([self._model.baseline_losses[0], *losses])

    @property
    def validation_loss_(self) -> np.ndarray:
        """Overarching loss that early stopping uses, (n_rounds + 1,); else empty."""
        check_is_fitted(self)
        losses = [each.validation_loss for each in self._model.rounds]
        losses.insert(0, self._model.baseline_losses[1])
        return np.array([loss for loss in losses if loss is not None])

    @property
    def interaction_strength_(self) -> np.ndarray:
        """Decrease of `train_loss_` by each pair, (n_organizations, n_organizations)."""
        check_is_fitted(self)
        names, owner = (
            self._model.participants.participant_names,
            self._model.patterns.owner,
        )
        strength = np.zeros((len(self.organization_names_),) * 2)
        decreases = -np.diff(self.train_loss_)
        for each, decrease in zip(self._model.rounds, decreases, strict=True):
            explained = np.maximum(each.explained, 0.0)
            shares = decrease * explained / (explained.sum() or 1.0)
            for candidate, share in zip(each.candidates, shares, strict=True):
                m, other = owner[candidate.participant], owner[candidate.partner(names)]
                strength[m, other] += share / 2
                strength[other, m] += share / 2
        return strength

    @property
    def privacy_spent_(self) -> Bunch:
        """Privacy budget of a row over the rounds so far."""
        check_is_fitted(self)
        if self._state.settings["privacy"] is None:
            raise AttributeError("Without privacy, there is no privacy_spent_.")
        broadcast = self._state.broadcast
        n_rounds, epsilon = broadcast.n_rounds, broadcast.epsilon
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
        """Local models without a gate, ``[round][organization]``."""
        check_is_fitted(self)
        organizations = self._model.participants.organizations
        position = {each.name: m for m, each in enumerate(organizations)}
        names = self._model.participants.participant_names
        listed = []
        for each in self._model.rounds:
            models: list = [None] * len(organizations)
            for participant, number, gate in each.candidates:
                m = position.get(names[participant])
                if gate is None and m is not None:  # a stand-in has no position
                    models[m] = to_estimator(organizations[m].models.get(number))
            listed.append(models)
        return listed

    @property
    def organization_names_(self) -> list[str]:
        """Names of the organizations."""
        check_is_fitted(self)
        return self._model.participants.names

    @property
    def columns_(self) -> list[np.ndarray]:
        """Positions of every organization's columns, a list of arrays."""
        check_is_fitted(self)
        return [each.columns for each in self._model.participants.organizations]

    @property
    def label_holder_(self) -> str | None:
        """Name of the organization that holds y; None if it holds no columns."""
        check_is_fitted(self)
        return self._model.participants.holder_name
