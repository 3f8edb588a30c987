"""`python -m sklearn_gal.federated` is `sklearn-gal`."""

import sys

from ._cli import main

sys.exit(main())
