"""
What do the organizations send each other?
==========================================

A hospital fits a model together with a laboratory and a registry. Each organization runs a
service on its own host, and the hospital calls the services. Columns never leave their
host. What do the messages contain, and how large are they?
"""

# %%
# Here the services run in one process, connected by a
# :class:`~sklearn_gal.federated.LocalChannel`. The messages are the same as between hosts.
# The tables share a key, the number of the patient. The messages have codes instead of the
# keys, which are computed with a secret that all organizations know.

from tempfile import mkdtemp

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.datasets import load_breast_cancer

from sklearn_gal import GALClassifier
from sklearn_gal.federated import (
    CommunicationDisplay,
    FederatedGALClassifier,
    Federation,
    LocalChannel,
    OrganizationService,
)

X, y = load_breast_cancer(return_X_y=True, as_frame=True)
columns = {
    "hospital": list(X)[:10],
    "laboratory": list(X)[10:20],
    "registry": list(X)[20:],
}
tables = X.assign(patient=np.arange(len(X)))
secret = "drawn at random, and shared by all organizations"
services = [
    OrganizationService(name, tables[["patient", *held]], "patient", secret, mkdtemp())
    for name, held in columns.items()
    if name != "hospital"
]

# %%
# The hospital knows its own columns and the diagnoses.

settings = {"max_iter": 10, "random_state": 0}
hospital = tables[["patient", *columns["hospital"]]]
model = FederatedGALClassifier(
    Federation(LocalChannel(services), secret),
    [("hospital", None, columns["hospital"])],
    key="patient",
    **settings,
)
model.fit(hospital, y)

# %%
# In a round, an organization receives the residual, and in another request the residual
# multiplied by a function of the columns of another organization. The picture shows the
# size of each message, and how long the organization took to answer. Both are 0 where an
# organization is not asked.

CommunicationDisplay.from_estimator(model)
plt.show()

# %%
# The model is cross-fitted with five folds. So a message has five numbers for each of the
# 569 patients, and the answer has as many. A number has 8 bytes, which makes about 23
# kilobytes. An organization with 1,000 columns would send answers of the same size.
#
# In this fit, all messages together are larger than the tables. The purpose of the messages
# is not to save bytes. It is that columns and models stay where they are. What the
# residuals tell about the diagnoses is the topic of :doc:`plot_privacy`.

calls = pd.DataFrame(model.communication_)
calls.groupby(["call", "organization"])[["bytes_sent", "bytes_received"]].sum()

# %%
# The model is the same as that of a fit in one process, to the last bit.

together = GALClassifier([(name, None, held) for name, held in columns.items()], **settings)
together.fit(X, y)
np.array_equal(model.predict_proba(hospital), together.predict_proba(X))
