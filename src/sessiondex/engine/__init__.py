"""A primary dict with secondary indexes: generic, synchronous, without a clock. It knows no session."""
