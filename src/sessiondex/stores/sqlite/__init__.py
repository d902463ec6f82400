"""SQLiteJournal: keeps the sessions of an in-memory store in a file, so that they survive a restart or a crash."""

from sessiondex.stores.sqlite.journal import Durability, LoadProgress, SQLiteJournal

__all__ = ["Durability", "LoadProgress", "SQLiteJournal"]
