"""The stores. All keep the laws of `sessiondex.contract`."""
