"""The stages of an audit, one file a verb: what each reads from the run folder and writes there."""
