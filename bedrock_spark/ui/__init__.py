"""The pages of `bedrock-spark ui`: look at runs and records, try models, try a config's rows.

One process on the loopback interface, without a database: each page reads run folders and calls AWS
with the caller's credentials. Flask serves it, because boto3 and the readers of run folders are
synchronous: a page calls them as every other command does. waitress is its HTTP server.
"""
