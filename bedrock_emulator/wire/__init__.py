"""The service's wire format: routes, parsing, validation, replies, paging, event streams."""
