"""How a row ends: the values of the column `outcome`."""

OK = "ok"
ERROR = "error"
MISSING = "missing"
INVALID = "invalid"
TRUNCATED = "truncated"
REFUSED = "refused"
UNFOUND = "unfound"
REJECTED = "rejected"

# The outcomes of an answer, the best first: of two answers to one question, the better one counts.
# A whole answer goes before a part of one, and any answer to the question before a refusal.
BEST_FIRST = (OK, INVALID, TRUNCATED, REFUSED)
# The outcomes of rows that were to be asked and are not ok.
NOT_OK = (ERROR, INVALID, TRUNCATED, REFUSED, MISSING, UNFOUND)
