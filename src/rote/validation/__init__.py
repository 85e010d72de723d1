"""Is the audit right? Its own estimates held against planted truth."""
