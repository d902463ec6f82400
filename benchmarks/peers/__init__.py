"""The indexed store's peers: other ways to keep the same sessions in memory, one file a peer; `all` lists them."""
