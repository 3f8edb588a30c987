"""Fitted models of many requests as one text, so that a file has few objects.

skops writes an object for each model, and an object that several models share once for each
of them.
"""

import json

from .boosted_models import LazyBooster, OutputTrees
from .models import FoldRegressors, OutputRegressors

_CONTAINERS = {"folds": FoldRegressors, "outputs": OutputRegressors}
_NAMES = {container: name for name, container in _CONTAINERS.items()}


class _Listed:
    """A list with each object once."""

    def __init__(self):
        self.items = []
        self._positions = {}

    def position(self, item):
        """The position of an object, which is added if it is new."""
        if id(item) not in self._positions:
            self._positions[id(item)] = len(self.items)
            self.items.append(item)
        return self._positions[id(item)]


def pack_models(models):
    """Fitted models as a text and a list of objects.

    Parameters
    ----------
    models : dict of int to object
        Fitted models, or None, by the number of the request.

    Returns
    -------
    text : str
        JSON that says what each model consists of, with the trees of each `LazyBooster`.
    objects : list
        The templates of boosters, and all other models.
    """
    objects, trees, frames = _Listed(), _Listed(), _Listed()

    def described(model):
        name = _NAMES.get(type(model))
        if name is not None:
            return [name, [described(each) for each in model.estimators]]
        text = model._text if type(model) is LazyBooster else None
        if text is None:
            return ["object", objects.position(model)]
        template = objects.position(model._template)
        if isinstance(text, tuple):
            text = [trees.position(text[0]), text[1]]
        return ["booster", text, model._settings, template]

    parts = {
        "models": [[number, described(model)] for number, model in models.items()],
        "trees": [
            [each._about_rows, each._trees, frames.position(each._frame)]
            for each in trees.items
        ],
        "frames": frames.items,
    }
    return json.dumps(parts), objects.items


def unpack_models(text, objects):
    """The models of which `pack_models` has returned a text and a list of objects."""
    parts = json.loads(text)
    frames = [tuple(frame) for frame in parts["frames"]]
    trees = [
        OutputTrees.of_parts(about_rows, of_outputs, frames[frame])
        for about_rows, of_outputs, frame in parts["trees"]
    ]

    def made(kind, *details):
        if kind in _CONTAINERS:
            return _CONTAINERS[kind]([made(*each) for each in details[0]])
        if kind == "object":
            return objects[details[0]]
        text, settings, template = details
        if isinstance(text, list):
            text = trees[text[0]], text[1]
        return LazyBooster(text, settings, objects[template])

    return {number: made(*model) for number, model in parts["models"]}
