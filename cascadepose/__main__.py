"""`python -m cascadepose` is the `cascadepose` command."""

import sys

from cascadepose.cli import main

sys.exit(main())
