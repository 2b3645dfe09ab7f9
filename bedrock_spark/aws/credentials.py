"""Where this process's credentials come from. Never the credentials themselves."""

from __future__ import annotations

import botocore.session
from botocore.exceptions import BotoCoreError

# The name that botocore gives to the variables AWS_ACCESS_KEY_ID and AWS_SESSION_TOKEN.
_VARIABLES = "env"


def are_fixed_and_temporary() -> bool:
    """Tell whether the credentials are temporary, and nothing here renews them.

    Those are a session token in the environment. Roles and profiles renew theirs.
    """
    try:
        found = botocore.session.Session().get_credentials()
    except BotoCoreError:  # such as a profile that does not exist: the first call says so
        return False
    return found is not None and found.method == _VARIABLES and found.token is not None
