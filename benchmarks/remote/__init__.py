"""The store over Redis and Valkey: what it costs over loopback, beside the bare server and the store in memory."""
