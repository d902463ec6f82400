"""A primary dict with secondary indexes. Generic and synchronous: no sessions, no asyncio, no clock."""
