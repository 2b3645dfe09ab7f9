"""The names of the columns that prepare adds to the source's on the way."""

# The 64-bit hash that a record id is made of, and the text that tells rows of one hash apart.
HASH, KEY = "_bs_hash", "_bs_key"
# What puts rows of one key in order, and a key that an earlier row has.
TIE, REPEATED = "_bs_tie", "_bs_repeated"
# Which bucket a row was dealt into.
BUCKET = "_bs_bucket"
