"""How a row ends: the values of the column `outcome`."""

OK = "ok"
ERROR = "error"
MISSING = "missing"
INVALID = "invalid"
UNFOUND = "unfound"
REJECTED = "rejected"
