"""Time calls, pauses and memory, and describe the machine."""
