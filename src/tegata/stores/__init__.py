"""Where keys live: one small interface, a module for each kind of store."""
