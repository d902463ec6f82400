"""Check which features sessiondex and its alternatives have, by running each of them."""
