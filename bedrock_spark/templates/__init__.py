"""Body templates: they make the JSON body of a request from a row."""
